//! [`Aimd`]: additive increase, multiplicative decrease.

use std::time::Duration;

use super::bounds::Bounds;
use super::{Admitted, Algorithm, Ended, Outcome, Range};

/// Additive increase, multiplicative decrease: the limit grows by one with each good answer and
/// shrinks by a tenth with each drop.
///
/// A drop is a timeout, an overload answer, or an answer slower than [`timeout`](Self::timeout).
///
/// ```text
/// drop                  limit = floor(limit * backoff_ratio)
/// 2 * inflight >= limit limit = limit + 1
/// otherwise             the service was not in use, and shows nothing: limit stays
/// ```
///
/// `inflight` counts the calls in flight when this one was admitted, itself included. The limit
/// begins at 20, unless the layer says otherwise, and keeps to the range of the layer.
///
/// That is the rule of `AIMDLimit` of [Netflix's `concurrency-limits`][netflix], with its defaults
/// except for the range (20 to 200 there), after Chiu and Jain, "Analysis of the increase and
/// decrease algorithms for congestion avoidance in computer networks" (1989). Nothing in it looks
/// at latency below the timeout: a service that queues without failing fills its queue.
///
/// [netflix]: https://github.com/Netflix/concurrency-limits
#[derive(Clone, Debug)]
pub struct Aimd {
    limit: f64,
    bounds: Bounds,
    backoff_ratio: f64,
    timeout: Duration,
}

impl Aimd {
    const INITIAL: f64 = 20.0;

    /// The algorithm with its defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            limit: Self::INITIAL,
            bounds: Bounds::ANY,
            backoff_ratio: 0.9,
            timeout: Duration::from_secs(5),
        }
    }

    /// What is left of the limit after a drop. Default: 0.9.
    ///
    /// # Panics
    ///
    /// Unless it is at least 0.5 and less than 1.
    #[must_use]
    pub fn backoff_ratio(mut self, ratio: f64) -> Self {
        let allowed = (0.5..1.0).contains(&ratio);
        assert!(allowed, "backoff_ratio is {ratio}, allowed is 0.5 to less than 1");
        self.backoff_ratio = ratio;
        self
    }

    /// Slower answers are drops. Default: 5 s.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        assert!(!timeout.is_zero(), "timeout is zero, allowed is more than that");
        self.timeout = timeout;
        self
    }
}

impl Default for Aimd {
    fn default() -> Self {
        Self::new()
    }
}

impl Algorithm for Aimd {
    fn begin(&mut self, range: Range) {
        (self.bounds, self.limit) = Bounds::begin(range, Self::INITIAL);
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        Some(call.in_flight as u64)
    }

    #[expect(clippy::cast_precision_loss, reason = "calls in flight are far below 2^53")]
    fn ended(&mut self, call: &Ended) {
        let dropped = match call.outcome {
            Outcome::Answered => call.latency > self.timeout,
            Outcome::TimedOut | Outcome::Overloaded => true,
            Outcome::Unknown => return,
        };
        let limit = if dropped {
            (self.limit * self.backoff_ratio).floor()
        } else if 2.0 * call.mark as f64 >= self.limit {
            self.limit + 1.0
        } else {
            self.limit
        };
        self.limit = self.bounds.hold(limit);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "limits that are whole numbers are so exactly")]

    use super::super::published_tests::{begun, call, range};
    use super::*;
    use Outcome::{Answered, Overloaded, TimedOut, Unknown};

    #[test]
    fn a_drop_takes_a_tenth_and_a_good_answer_gives_one() {
        let mut aimd = begun(Aimd::new(), range(1, 200, None));
        let mut steps = Vec::new();
        for (outcome, in_flight) in [
            (Answered, 10),   // 2 * 10 >= 20: 21
            (Answered, 10),   // 2 * 10 < 21: 21
            (TimedOut, 1),    // floor(18.9): 18
            (Overloaded, 18), // floor(16.2): 16
            (Unknown, 16),    // 16
            (Answered, 8),    // 2 * 8 >= 16: 17
        ] {
            aimd.ended(&call(outcome, 0.01, in_flight));
            steps.push(aimd.limit());
        }
        assert_eq!(steps, [21.0, 21.0, 18.0, 16.0, 16.0, 17.0]);
    }

    #[test]
    fn an_answer_slower_than_the_timeout_is_a_drop() {
        let settings = Aimd::new().timeout(Duration::from_millis(100)).backoff_ratio(0.5);
        let mut aimd = begun(settings, range(1, 200, None));
        aimd.ended(&call(Answered, 0.1, 20));
        assert_eq!(aimd.limit(), 21.0);
        aimd.ended(&call(Answered, 0.101, 21));
        assert_eq!(aimd.limit(), 10.0);
    }

    #[test]
    #[should_panic(expected = "backoff_ratio is 1, allowed is 0.5 to less than 1")]
    fn a_ratio_that_takes_nothing_is_nonsense() {
        let _ = Aimd::new().backoff_ratio(1.0);
    }

    #[test]
    #[should_panic(expected = "timeout is zero, allowed is more than that")]
    fn a_timeout_of_nothing_is_nonsense() {
        let _ = Aimd::new().timeout(Duration::ZERO);
    }
}
