//! [`Trial`]: what came of a run.

use std::time::Duration;

/// What came of one run of a [`Workload`](super::Workload).
#[derive(Clone, Debug)]
pub struct Trial {
    pub(super) run_for: Duration,
    /// Answered in time, by caller and tenth of a second.
    pub(super) good: Vec<Vec<u32>>,
    /// Of all that were admitted, in nanoseconds; what timed out, its deadline.
    pub(super) latencies: Vec<f32>,
    /// By caller: the limit at each tenth of a second.
    pub(super) limits: Vec<Vec<usize>>,
    pub(super) refused: u64,
}

impl Trial {
    /// The length of a slice of time in what is told over time.
    pub const SLICE: Duration = Duration::from_millis(100);

    /// Answers in time, per second, of the whole run.
    #[must_use]
    pub fn goodput(&self) -> f64 {
        self.goodput_between(Duration::ZERO, self.run_for)
    }

    /// The same of a part of the run.
    #[must_use]
    pub fn goodput_between(&self, from: Duration, until: Duration) -> f64 {
        let (first, last) = (slice(from), slice(until));
        let good: u64 = self
            .good
            .iter()
            .flat_map(|of_caller| of_caller.iter().take(last).skip(first))
            .map(|good| u64::from(*good))
            .sum();
        #[allow(clippy::cast_precision_loss)]
        return good as f64 / until.saturating_sub(from).as_secs_f64();
    }

    /// Of 100 calls that were admitted, 99 took at most this long; one that timed out counts as
    /// long as its caller waited.
    #[must_use]
    pub fn p99(&self) -> Duration {
        let mut all = self.latencies.clone();
        if all.is_empty() {
            return Duration::ZERO;
        }
        let rank = all.len() * 99 / 100;
        let (_, p99, _) = all.select_nth_unstable_by(rank, f32::total_cmp);
        Duration::from_secs_f64(f64::from(*p99) / 1e9)
    }

    /// How many calls were refused, or had to wait in front.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The limits of each caller over time, in [slices](Self::SLICE).
    #[must_use]
    pub fn limits(&self) -> &[Vec<usize>] {
        &self.limits
    }

    /// How evenly the callers fared from `from` on: 1 if all had the same, `1/n` if one of `n` had
    /// everything.
    ///
    /// Source: R. Jain, D. Chiu, W. Hawe, *A Quantitative Measure of Fairness* (DEC-TR-301, 1984).
    #[must_use]
    pub fn jain(&self, from: Duration) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        let shares: Vec<f64> = self
            .good
            .iter()
            .map(|of_caller| of_caller.iter().skip(slice(from)).map(|g| f64::from(*g)).sum())
            .collect();
        jain(&shares)
    }

    /// How long after `from` the goodput over a second was first within `tolerance` (0.05 is
    /// five percent) of `rate`, if it was before `until`.
    #[must_use]
    pub fn back_after(
        &self,
        from: Duration,
        until: Duration,
        rate: f64,
        tolerance: f64,
    ) -> Option<Duration> {
        let second = Duration::from_secs(1);
        (0..)
            .map(|slices| from + slices * Self::SLICE)
            .take_while(|at| *at + second <= until)
            .find(|at| self.goodput_between(*at, *at + second) >= (1.0 - tolerance) * rate)
            .map(|at| at - from)
    }
}

fn slice(at: Duration) -> usize {
    usize::try_from(at.as_millis() / Trial::SLICE.as_millis()).unwrap_or(usize::MAX)
}

fn jain(shares: &[f64]) -> f64 {
    let (sum, squares) =
        shares.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    #[allow(clippy::cast_precision_loss)]
    let n = shares.len() as f64;
    if squares > 0.0 { sum * sum / (n * squares) } else { 1.0 }
}
