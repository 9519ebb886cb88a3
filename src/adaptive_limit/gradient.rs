//! [`Gradient`]: follows the ratio of the usual latency to the latest.

use std::time::Duration;

use super::bounds::Bounds;
use super::{Admitted, Algorithm, Ended, Outcome, Range};

/// Shrinks the limit by as much as latency is above its own long average, and else lets it grow
/// slowly.
///
/// ```text
/// usual    = exponential average of latency, of weight 2 / (long_window + 1);
///            the plain average of the first ten; after a sample of less than half of it, 5 % less
/// gradient = tolerance * usual / latency, between 0.5 and 1
///
/// drop                  limit = limit * backoff_ratio
/// 2 * inflight < limit  the service was not in use, and shows nothing: limit stays
/// otherwise             limit = limit + smoothing * (limit * gradient + queue - limit)
/// ```
///
/// `inflight` counts the calls in flight when this one was admitted, itself included. A drop is a
/// timeout, also a sample of latency, or an overload answer, which is none. The limit begins at 20,
/// unless the layer says otherwise, and keeps to the range of the layer.
///
/// That is the rule of `Gradient2Limit` of [Netflix's `concurrency-limits`][netflix], with its
/// defaults except for the range (20 to 200 there). It differs in one thing: that one does not look
/// at drops, here they are taken as its predecessor `GradientLimit` takes them. An overload that
/// lasts becomes the usual latency: then the limit grows again.
///
/// [netflix]: https://github.com/Netflix/concurrency-limits
#[derive(Clone, Debug)]
pub struct Gradient {
    limit: f64,
    bounds: Bounds,
    tolerance: f64,
    smoothing: f64,
    queue: f64,
    backoff_ratio: f64,
    /// Of a sample in `usual`, once warm.
    weight: f64,
    /// In seconds.
    usual: f64,
    /// Samples so far, up to [`Self::WARM_UP`].
    samples: f64,
    /// Of those.
    sum: f64,
}

impl Gradient {
    const INITIAL: f64 = 20.0;
    const WARM_UP: f64 = 10.0;

    /// The algorithm with its defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            limit: Self::INITIAL,
            bounds: Bounds::ANY,
            tolerance: 1.5,
            smoothing: 0.2,
            queue: 4.0,
            backoff_ratio: 0.9,
            weight: 2.0 / 601.0,
            usual: 0.0,
            samples: 0.0,
            sum: 0.0,
        }
    }

    /// Up to which multiple of the usual latency all is well. Default: 1.5.
    ///
    /// # Panics
    ///
    /// Unless it is a number of at least 1.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        let allowed = tolerance.is_finite() && tolerance >= 1.0;
        assert!(allowed, "tolerance is {tolerance}, allowed is 1 or more");
        self.tolerance = tolerance;
        self
    }

    /// How much of each step to take. Default: 0.2.
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

    /// Calls that may queue: by so many the limit grows, before smoothing, while all is well.
    /// Default: 4.
    #[must_use]
    pub fn queue(mut self, calls: u32) -> Self {
        self.queue = f64::from(calls);
        self
    }

    /// What is left of the limit after a drop. Default: 0.9.
    ///
    /// # Panics
    ///
    /// Unless it is from 0.5 to 1.
    #[must_use]
    pub fn backoff_ratio(mut self, ratio: f64) -> Self {
        let allowed = (0.5..=1.0).contains(&ratio);
        assert!(allowed, "backoff_ratio is {ratio}, allowed is 0.5 to 1");
        self.backoff_ratio = ratio;
        self
    }

    /// Over how many calls the usual latency is averaged. Default: 600.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[must_use]
    pub fn long_window(mut self, calls: u32) -> Self {
        assert!(calls > 0, "long_window is zero, allowed is more than that");
        self.weight = 2.0 / (f64::from(calls) + 1.0);
        self
    }

    /// Takes the latency into the average, and gives the average to compare it with.
    fn sample(&mut self, latency: f64) -> f64 {
        if self.samples < Self::WARM_UP {
            self.samples += 1.0;
            self.sum += latency;
            self.usual = self.sum / self.samples;
        } else {
            self.usual += self.weight * (latency - self.usual);
        }
        let usual = self.usual;
        if usual > 2.0 * latency {
            self.usual *= 0.95;
        }
        usual
    }

    fn back_off(&mut self) {
        self.limit = self.bounds.hold(self.limit * self.backoff_ratio);
    }
}

impl Default for Gradient {
    fn default() -> Self {
        Self::new()
    }
}

impl Algorithm for Gradient {
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
            self.back_off();
            return;
        }
        // A latency below the clock's resolution is still no division by zero.
        let latency = call.latency.max(Duration::from_nanos(1)).as_secs_f64();
        let usual = self.sample(latency);
        if call.outcome == Outcome::TimedOut {
            self.back_off();
        } else if 2.0 * call.mark as f64 >= self.limit {
            let gradient = (self.tolerance * usual / latency).clamp(0.5, 1.0);
            let step = self.limit * gradient + self.queue - self.limit;
            self.limit = self.bounds.hold(self.limit + self.smoothing * step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::published_tests::{begun, call, range};
    use super::*;
    use Outcome::{Answered, Overloaded, TimedOut, Unknown};

    #[track_caller]
    fn near(is: f64, should: f64) {
        assert!((is - should).abs() < 1e-9, "{is}, should be {should}");
    }

    #[test]
    fn usual_latency_lets_it_grow_by_the_smoothed_queue() {
        let mut gradient = begun(Gradient::new(), range(1, 200, None));
        gradient.ended(&call(Answered, 0.01, 20)); // gradient 1: + 0.2 * 4
        near(gradient.limit(), 20.8);
        gradient.ended(&call(Answered, 0.01, 10)); // 2 * 10 < 20.8: not in use
        near(gradient.limit(), 20.8);
        gradient.ended(&call(Answered, 0.01, 11));
        near(gradient.limit(), 21.6);
    }

    #[test]
    fn slow_answers_shrink_it_by_the_smoothed_ratio() {
        let mut gradient = begun(Gradient::new(), range(1, 200, Some(100)));
        gradient.ended(&call(Answered, 0.01, 1)); // not in use: a sample all the same
        // The average of 0.01 and 0.03 is 0.02: 1.5 * 0.02 / 0.03 is 1, + 0.2 * 4.
        gradient.ended(&call(Answered, 0.03, 100));
        near(gradient.limit(), 100.8);
        // That of 0.01, 0.03 and 0.14 is 0.06: 1.5 * 0.06 / 0.14 = 0.642857..
        gradient.ended(&call(Answered, 0.14, 101));
        near(gradient.limit(), 100.8 + 0.2 * (100.8 * 9.0 / 14.0 + 4.0 - 100.8));
    }

    #[test]
    fn the_ratio_is_taken_for_a_half_at_least() {
        let settings = Gradient::new().smoothing(1.0).queue(0).tolerance(1.0);
        let mut gradient = begun(settings, range(1, 200, Some(100)));
        gradient.ended(&call(Answered, 0.01, 100));
        near(gradient.limit(), 100.0);
        gradient.ended(&call(Answered, 0.01, 100));
        gradient.ended(&call(Answered, 0.01, 100));
        gradient.ended(&call(Answered, 60.0, 100)); // the average is a quarter of it
        near(gradient.limit(), 50.0);
    }

    #[test]
    fn after_ten_samples_the_average_is_exponential_and_falls_quicker_than_it_rises() {
        let mut gradient = begun(Gradient::new().long_window(3), range(1, 200, None));
        for _ in 0..10 {
            gradient.ended(&call(Answered, 0.01, 1));
        }
        near(gradient.usual, 0.01);
        gradient.ended(&call(Answered, 0.03, 1)); // 2 / (3 + 1): half of the way
        near(gradient.usual, 0.02);
        gradient.ended(&call(Answered, 0.004, 1)); // half of the way, and as 0.012 > 2 * 0.004, 5 %
        near(gradient.usual, 0.0114);
    }

    #[test]
    fn the_average_is_over_600_calls_if_nothing_else_is_said() {
        let mut gradient = begun(Gradient::new(), range(1, 200, None));
        for _ in 0..10 {
            gradient.ended(&call(Answered, 0.01, 1));
        }
        gradient.ended(&call(Answered, 0.611, 1)); // 2 / 601 of the way
        near(gradient.usual, 0.012);
    }

    #[test]
    fn no_latency_at_all_is_no_slower_than_usual() {
        let mut gradient = begun(Gradient::new(), range(1, 200, None));
        gradient.ended(&call(Answered, 0.0, 20));
        near(gradient.limit(), 20.8);
    }

    #[test]
    fn a_drop_takes_a_tenth() {
        let mut gradient = begun(Gradient::new(), range(1, 200, Some(100)));
        gradient.ended(&call(TimedOut, 1.0, 1));
        near(gradient.limit(), 90.0);
        near(gradient.usual, 1.0);
        gradient.ended(&call(Overloaded, 0.001, 1));
        near(gradient.limit(), 81.0);
        near(gradient.usual, 1.0); // not a sample
        gradient.ended(&call(Unknown, 0.001, 81));
        near(gradient.limit(), 81.0);
        let mut steady = begun(Gradient::new().backoff_ratio(0.5), range(1, 200, Some(100)));
        steady.ended(&call(Overloaded, 0.001, 1));
        near(steady.limit(), 50.0);
    }

    #[test]
    #[should_panic(expected = "tolerance is 0.9, allowed is 1 or more")]
    fn a_tolerance_of_less_than_nothing_is_nonsense() {
        let _ = Gradient::new().tolerance(0.9);
    }

    #[test]
    #[should_panic(expected = "smoothing is 0, allowed is more than 0 to 1")]
    fn smoothing_to_nothing_is_nonsense() {
        let _ = Gradient::new().smoothing(0.0);
    }

    #[test]
    #[should_panic(expected = "backoff_ratio is 0.4, allowed is 0.5 to 1")]
    fn a_ratio_of_less_than_a_half_is_nonsense() {
        let _ = Gradient::new().backoff_ratio(0.4);
    }

    #[test]
    #[should_panic(expected = "long_window is zero, allowed is more than that")]
    fn an_average_over_nothing_is_nonsense() {
        let _ = Gradient::new().long_window(0);
    }
}
