//! [`Tokens`]: gRPC's retry throttling.

use crate::budget::ONE;
use crate::classify::Class;
use crate::sync::{AtomicI64, Ordering};

/// A count from 0 to a maximum: failures take from it, successes add a little, and further
/// attempts pass while it is above half. gRFC A6, "Throttling Retry Attempts and Hedged RPCs".
#[derive(Debug)]
pub(super) struct Tokens {
    count: AtomicI64,
    settings: Settings,
}

/// All in units of 1 / [`ONE`] token.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) max: i64,
    pub(super) ratio: i64,
    pub(super) transient: i64,
    pub(super) overload: i64,
}

impl Tokens {
    /// Full.
    pub(super) fn new(settings: Settings) -> Self {
        Self { count: AtomicI64::new(settings.max), settings }
    }

    /// An attempt, first or further, ended.
    ///
    /// A permanent failure changes nothing: A6 adds for successes and takes for failures that
    /// could be tried again, and says nothing of those that could not.
    #[inline(always)]
    pub(super) fn judged(&self, class: Class) {
        let change = match class {
            Class::Success => self.settings.ratio,
            Class::Transient => -self.settings.transient,
            Class::Overload { .. } => -self.settings.overload,
            Class::Permanent | Class::Ignore => return,
        };
        let count = self.count.load(Ordering::Relaxed);
        // While all is well, many threads read the count and none writes it.
        if self.after(count, change) != count {
            self.change(count, change);
        }
    }

    #[cold]
    fn change(&self, mut count: i64, change: i64) {
        while let Err(found) = self.count.compare_exchange_weak(
            count,
            self.after(count, change),
            Ordering::AcqRel,
            Ordering::Relaxed,
        ) {
            count = found;
        }
    }

    fn after(&self, count: i64, change: i64) -> i64 {
        (count + change).clamp(0, self.settings.max)
    }

    /// Whether a further attempt may be made. Takes nothing: its failure will.
    pub(super) fn allows(&self) -> bool {
        self.above_half() > 0 || cfg!(mutant = "tokens-pass-at-half") && self.above_half() == 0
    }

    /// How many further attempts could fail before none is allowed, in units.
    pub(super) fn balance(&self) -> i64 {
        let Settings { transient, overload, .. } = self.settings;
        let cost = if transient > 0 { transient } else { overload }.max(1);
        // Each passes as long as anything is left, so the last one may cost more than that.
        (self.above_half().max(0) + cost - 1) / cost * i64::from(ONE)
    }

    /// Twice the count less the maximum, so that odd maxima halve exactly; then halved up.
    fn above_half(&self) -> i64 {
        let twice = 2 * self.count.load(Ordering::Acquire) - self.settings.max;
        twice - twice / 2
    }
}
