//! [`ClassShares`]: how much of the limit each class of priority may use.

use crate::admission::Shares;
use crate::config::{ConfigError, check};
use crate::priority::PriorityClass;

/// By the place of the class. Each keeps a part free for those above it. The first tenth is what a
/// burst of critical calls finds while everything else is full; below that, a fifth each: wide
/// enough that one class has gone before the next one feels it.
const DEFAULT: [f64; 5] = [1.0, 0.9, 0.7, 0.5, 0.3];

/// The shares as they were set.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassShares([f64; 5]);

impl ClassShares {
    pub(super) fn new(shares: impl IntoIterator<Item = (PriorityClass, f64)>) -> Self {
        let mut all = DEFAULT;
        for (class, share) in shares {
            all[class.index()] = share;
        }
        Self(all)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let each = self.0.iter().all(|share| *share >= 0.0 && *share <= 1.0);
        #[allow(clippy::float_cmp)] // What is not exactly 1 was set to something else.
        let critical = self.0[0] == 1.0;
        check(
            each && critical && self.0.is_sorted_by(|above, below| above >= below),
            "adaptive_limit.priority",
            self.0,
            "shares from 0 to 1, all of it for the critical class, none more than the class above",
        )
    }
}

impl From<ClassShares> for Shares {
    fn from(shares: ClassShares) -> Self {
        Self::AtMost(Box::new(shares.0))
    }
}
