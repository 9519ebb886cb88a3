//! [`Vegas`]: holds the queue, as told from the lowest latency seen, between two bounds.

use std::time::Duration;

use super::bounds::Bounds;
use super::{Admitted, Algorithm, Ended, Outcome, Range};

/// Holds the calls that queue between two bounds, taking the lowest latency seen for that of an
/// idle service.
///
/// ```text
/// queue = ceil(limit * (1 - lowest / latency))
/// step  = max(1, floor(log10(limit)))
///
/// drop                  limit = limit - step
/// 2 * inflight < limit  the service was not in use, and shows nothing: limit stays
/// queue <= step         limit = limit + beta * step
/// queue <  alpha * step limit = limit + step
/// queue >  beta * step  limit = limit - step
/// ```
///
/// `inflight` counts the calls in flight when this one was admitted, itself included. A call that
/// is quicker than `lowest` only replaces it. So does, whatever its latency, one call in every
/// `probe_every * limit * (0.5 to 1)`, so that a service that has become slower is not held to
/// what it once was. A drop is a timeout, also a sample of latency, or an overload answer, which
/// is none. The limit begins at 20, unless the layer says otherwise, and keeps to the range of the
/// layer.
///
/// That is the rule of `VegasLimit` of [Netflix's `concurrency-limits`][netflix], with its defaults
/// except for the largest limit (1000 there), after Brakmo, O'Malley and Peterson, "TCP Vegas: new
/// techniques for congestion detection and avoidance" (1994). It differs in two things: there the
/// latency of an overload answer counts, so that quick refusals become `lowest`; and the 0.5 to 1
/// is drawn by chance there, here it is the golden-ratio sequence.
///
/// [netflix]: https://github.com/Netflix/concurrency-limits
#[derive(Clone, Debug)]
pub struct Vegas {
    limit: f64,
    bounds: Bounds,
    alpha: f64,
    beta: f64,
    smoothing: f64,
    probe_every: f64,
    /// In seconds.
    lowest: Option<f64>,
    /// Since `lowest` was last replaced by a probe.
    samples: f64,
    /// In `[0.5, 1)`.
    jitter: f64,
}

impl Vegas {
    const INITIAL: f64 = 20.0;

    /// The algorithm with its defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            limit: Self::INITIAL,
            bounds: Bounds::ANY,
            alpha: 3.0,
            beta: 6.0,
            smoothing: 1.0,
            probe_every: 30.0,
            lowest: None,
            samples: 0.0,
            jitter: 0.5,
        }
    }

    /// The shortest and the longest queue to leave alone, as multiples of `step`. Default: 3 and 6,
    /// below a limit of 100 that is as many calls.
    ///
    /// # Panics
    ///
    /// If `alpha` is above `beta`, or `beta` is 0.
    #[must_use]
    pub fn queue(mut self, alpha: u32, beta: u32) -> Self {
        let ordered = alpha <= beta && beta > 0;
        assert!(ordered, "queue is {alpha} to {beta}, allowed is from less to more than 0");
        self.alpha = f64::from(alpha);
        self.beta = f64::from(beta);
        self
    }

    /// How much of each step to take. Default: 1, all of it.
    ///
    /// # Panics
    ///
    /// Unless it is more than 0 and at most 1.
    #[must_use]
    pub fn smoothing(mut self, smoothing: f64) -> Self {
        let allowed = smoothing > 0.0 && smoothing <= 1.0;
        assert!(allowed, "smoothing is {smoothing}, allowed is more than 0 to 1");
        self.smoothing = smoothing;
        self
    }

    /// After how many limits' worth of calls at most to take a call's latency for that of an idle
    /// service. Default: 30.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[must_use]
    pub fn probe_every(mut self, limits: u32) -> Self {
        assert!(limits > 0, "probe_every is zero, allowed is more than that");
        self.probe_every = f64::from(limits);
        self
    }

    /// Whether the latency is to step by, and not a new `lowest`.
    fn sample(&mut self, latency: f64) -> Option<f64> {
        self.samples += 1.0;
        if self.samples >= self.jitter * self.probe_every * self.limit {
            self.samples = 0.0;
            self.jitter = next_jitter(self.jitter);
            self.lowest = Some(latency);
            return None;
        }
        match self.lowest {
            Some(lowest) if lowest <= latency => Some(lowest),
            _ => {
                self.lowest = Some(latency);
                None
            }
        }
    }

    /// The limit that the queue asks for.
    fn towards(&self, queue: f64) -> f64 {
        let step = step(self.limit);
        if queue <= step {
            self.limit + self.beta * step
        } else if queue < self.alpha * step {
            self.limit + step
        } else if queue > self.beta * step {
            self.limit - step
        } else {
            self.limit
        }
    }

    fn move_to(&mut self, limit: f64) {
        self.limit += self.smoothing * (self.bounds.hold(limit) - self.limit);
    }
}

impl Default for Vegas {
    fn default() -> Self {
        Self::new()
    }
}

impl Algorithm for Vegas {
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
        if call.outcome == Outcome::Unknown {
            return;
        }
        if call.outcome == Outcome::Overloaded {
            self.move_to(self.limit - step(self.limit));
            return;
        }
        // A latency below the clock's resolution is still no division by zero.
        let latency = call.latency.max(Duration::from_nanos(1)).as_secs_f64();
        let Some(lowest) = self.sample(latency) else { return };
        if call.outcome == Outcome::TimedOut {
            self.move_to(self.limit - step(self.limit));
        } else if 2.0 * call.mark as f64 >= self.limit {
            let queue = (self.limit * (1.0 - lowest / latency)).ceil();
            self.move_to(self.towards(queue));
        }
    }
}

fn step(limit: f64) -> f64 {
    limit.log10().floor().max(1.0)
}

/// The next of a sequence that fills `[0.5, 1)` evenly, so that limiters do not probe in step.
fn next_jitter(jitter: f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_8;
    0.5 + 0.5 * ((jitter - 0.5) * 2.0 + GOLDEN).fract()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "limits that are whole numbers are so exactly")]

    use super::super::published_tests::{begun, call, range};
    use super::*;
    use Outcome::{Answered, Overloaded, TimedOut, Unknown};

    /// The limit after each call of `(outcome, latency in seconds, in flight)`.
    fn steps(vegas: &mut Vegas, calls: &[(Outcome, f64, u64)]) -> Vec<f64> {
        let step = |&(outcome, latency, in_flight)| {
            vegas.ended(&call(outcome, latency, in_flight));
            vegas.limit()
        };
        calls.iter().map(step).collect()
    }

    #[test]
    fn the_queue_decides_on_the_step() {
        let mut vegas = begun(Vegas::new(), range(1, 1000, Some(20)));
        let limits = steps(
            &mut vegas,
            &[
                (Answered, 0.010, 20),  // the first: lowest
                (Answered, 0.010, 20),  // queue 0 <= 1: + 6
                (Answered, 0.010, 12),  // 2 * 12 < 26: not in use
                (Answered, 0.0108, 26), // ceil(26 * 0.0741) = 2, between 1 and 3: + 1
                (Answered, 0.012, 27),  // ceil(27 / 6) = 5, between 3 and 6: as it is
                (Answered, 0.020, 27),  // ceil(27 / 2) = 14 > 6: - 1
                (Answered, 0.009, 26),  // quicker: the new lowest
                (Answered, 0.018, 26),  // ceil(26 / 2) = 13 > 6: - 1
            ],
        );
        assert_eq!(limits, [20.0, 26.0, 26.0, 27.0, 27.0, 26.0, 26.0, 25.0]);
    }

    #[test]
    fn queues_at_the_bounds_are_taken_as_published() {
        for (latency, limit) in [
            (0.0102, 26.0), // ceil(0.39) = 1, not more than a step: + 6
            (0.0106, 21.0), // ceil(1.13) = 2, less than 3: + 1
            (0.0112, 20.0), // ceil(2.14) = 3, not less than 3
            (0.0142, 20.0), // ceil(5.92) = 6, not more than 6
            (0.0143, 19.0), // ceil(6.01) = 7, more: - 1
        ] {
            let mut vegas = begun(Vegas::new(), range(1, 1000, Some(20)));
            let calls = [(Answered, 0.01, 20), (Answered, latency, 20)];
            assert_eq!(steps(&mut vegas, &calls), [20.0, limit], "{latency}");
        }
    }

    #[test]
    fn no_latency_at_all_is_no_queue() {
        let mut vegas = begun(Vegas::new(), range(1, 1000, Some(20)));
        assert_eq!(steps(&mut vegas, &[(Answered, 0.0, 20); 2]), [20.0, 26.0]);
    }

    #[test]
    fn steps_grow_with_the_logarithm_of_the_limit() {
        let mut vegas = begun(Vegas::new(), range(1, 5000, Some(1000)));
        let calls = [(Answered, 0.01, 1000), (Answered, 0.01, 1000), (TimedOut, 1.0, 1)];
        // 1000 + 6 * 3, - 3.
        assert_eq!(steps(&mut vegas, &calls), [1000.0, 1018.0, 1015.0]);
    }

    #[test]
    fn a_quick_refusal_is_no_baseline() {
        let mut vegas = begun(Vegas::new(), range(1, 1000, Some(20)));
        let calls = [
            (Answered, 0.010, 20),
            (Overloaded, 0.000_1, 1), // - 1
            (Answered, 0.010, 19),    // no queue: + 6
            (Unknown, 0.000_1, 25),
            (Answered, 0.010, 25), // no queue: + 6
        ];
        assert_eq!(steps(&mut vegas, &calls), [20.0, 19.0, 25.0, 25.0, 31.0]);
    }

    #[test]
    fn a_probe_takes_the_latency_for_that_of_an_idle_service() {
        let mut vegas = begun(Vegas::new().probe_every(2), range(1, 20, Some(20)));
        // The first after 0.5 * 2 * 20 samples: not one of those steps, the queue is 10 of 20.
        vegas.ended(&call(Answered, 0.01, 1));
        for _ in 0..18 {
            vegas.ended(&call(Answered, 0.02, 1));
        }
        assert_eq!(vegas.lowest, Some(0.01));
        vegas.ended(&call(Answered, 0.02, 1));
        assert_eq!(vegas.lowest, Some(0.02));
        // The next after 0.5 * (1 + 0.618..) * 2 * 20 = 32.4: with the 33rd.
        for _ in 0..32 {
            vegas.ended(&call(Answered, 0.03, 1));
        }
        assert_eq!(vegas.lowest, Some(0.02));
        vegas.ended(&call(Answered, 0.03, 1));
        assert_eq!(vegas.lowest, Some(0.03));
    }

    #[test]
    fn settings_move_the_bounds_and_smooth_the_step() {
        let settings = Vegas::new().queue(1, 4).smoothing(0.5);
        let mut vegas = begun(settings, range(1, 1000, Some(20)));
        let calls = [
            (Answered, 0.010, 20),
            (Answered, 0.010, 20), // half of + 4
            (Answered, 0.013, 22), // ceil(22 * 0.231) = 6 > 4: half of - 1
            (Answered, 0.011, 22), // ceil(21.5 / 11) = 2, between 1 and 4
        ];
        assert_eq!(steps(&mut vegas, &calls), [20.0, 22.0, 21.5, 21.5]);
    }

    #[test]
    #[should_panic(expected = "queue is 6 to 3, allowed is from less to more than 0")]
    fn bounds_the_wrong_way_round_are_nonsense() {
        let _ = Vegas::new().queue(6, 3);
    }

    #[test]
    #[should_panic(expected = "smoothing is NaN, allowed is more than 0 to 1")]
    fn smoothing_by_no_number_is_nonsense() {
        let _ = Vegas::new().smoothing(f64::NAN);
    }

    #[test]
    #[should_panic(expected = "probe_every is zero, allowed is more than that")]
    fn probing_every_call_is_nonsense() {
        let _ = Vegas::new().probe_every(0);
    }
}
