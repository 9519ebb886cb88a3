//! [`Config`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::adaptive_limit::Range;
use crate::admission::QueueOrder;
use crate::config::{ConfigError, check, not_zero};

/// The settings of an adaptive limit with the default algorithm. With feature `serde`, readable
/// from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The least limit. Default: 1.
    pub min: usize,
    /// The largest limit. Default: 10,000.
    pub max: usize,
    /// The limit to begin with. Default: the algorithm's choice.
    pub initial: Option<usize>,
    /// Calls waiting at most. `0`, the default, refuses at once.
    pub queue: usize,
    /// The longest wait. Default: none, the queue's length alone is the bound.
    pub max_wait: Option<Duration>,
    /// Who is served first. Default: [`QueueOrder::Fifo`].
    pub order: QueueOrder,
    /// Decide, count and report, but never refuse or make wait. Default: `false`.
    pub shadow: bool,
    /// The name of the instance. Default: `adaptive_limit`.
    pub name: Option<String>,
}

/// More calls at once than most processes can hold, and far from what breaks arithmetic.
const LARGEST: usize = 1 << 24;

impl Default for Config {
    fn default() -> Self {
        Self {
            min: 1,
            max: 10_000,
            initial: None,
            queue: 0,
            max_wait: None,
            order: QueueOrder::default(),
            shadow: false,
            name: None,
        }
    }
}

impl Config {
    pub(super) fn range(&self) -> Range {
        Range { min: self.min, max: self.max, initial: self.initial }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check(self.min >= 1, "adaptive_limit.min", self.min, "1 or more")?;
        check(
            (self.min..=LARGEST).contains(&self.max),
            "adaptive_limit.max",
            self.max,
            "at least min and at most 16,777,216",
        )?;
        if let Some(initial) = self.initial {
            let inside = (self.min..=self.max).contains(&initial);
            check(inside, "adaptive_limit.initial", initial, "from min to max")?;
        }
        // A line lives in memory: 2^24 waiters are already gigabytes of requests.
        check(self.queue <= LARGEST, "adaptive_limit.queue", self.queue, "at most 16,777,216")?;
        match self.max_wait {
            Some(wait) => not_zero("adaptive_limit.max_wait", wait),
            None => Ok(()),
        }
    }
}
