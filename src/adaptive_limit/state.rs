//! [`Machine`]: an algorithm and the range of its limit. Knows neither a lock nor a clock.

use crate::adaptive_limit::{Admitted, Algorithm, Ended, Range};
use crate::time::Instant;

/// Keeps the limit of an algorithm in its range, and time from running backwards.
#[derive(Debug)]
pub(crate) struct Machine<A> {
    algorithm: A,
    range: Range,
    /// The latest time that it was handed.
    latest: Option<Instant>,
}

impl<A: Algorithm> Machine<A> {
    pub(crate) fn new(mut algorithm: A, range: Range) -> Self {
        algorithm.begin(range);
        Self { algorithm, range, latest: None }
    }

    /// The limit: a whole number in the range.
    pub(crate) fn limit(&self) -> usize {
        self.whole(self.algorithm.limit())
    }

    /// The same for critical calls, which no experiment holds back.
    pub(crate) fn usual_limit(&self) -> usize {
        self.whole(self.algorithm.usual_limit())
    }

    fn whole(&self, limit: f64) -> usize {
        // The cast rounds down, takes NaN and what is negative for 0, and what is too large for
        // the largest there is.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let limit = limit as usize;
        limit.clamp(self.range.min, self.range.max)
    }

    /// How many of the next calls need not be shown to it.
    pub(crate) fn skip(&self) -> u32 {
        self.algorithm.skip()
    }

    /// A call has been admitted. Gives back what its end is to be shown with, if it is.
    pub(crate) fn admitted(&mut self, call: Admitted) -> Option<u64> {
        let now = self.forward(call.now);
        self.algorithm.admitted(&Admitted { now, ..call })
    }

    /// A call that was to be shown has ended.
    pub(crate) fn ended(&mut self, call: Ended) {
        let now = self.forward(call.now);
        self.algorithm.ended(&Ended { now, ..call });
    }

    #[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
    pub(super) fn algorithm(&mut self) -> &mut A {
        &mut self.algorithm
    }

    /// Two threads read the clock in one order and get here in the other.
    fn forward(&mut self, now: Instant) -> Instant {
        let latest = self.latest.map_or(now, |latest| latest.max(now));
        self.latest = Some(latest);
        latest
    }
}
