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
    pub(super) ends: Ends,
}

/// How the calls that were admitted ended: each of them once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ends {
    /// Answered in time.
    pub answered: u64,
    /// Given up at the deadline.
    pub timed_out: u64,
    /// Turned away by the server, whose line was full.
    pub overloaded: u64,
    /// Failed for another reason.
    pub failed: u64,
    /// Still in flight when the run was over.
    pub unfinished: u64,
}

impl Trial {
    pub(super) fn new(run_for: Duration, callers: usize) -> Self {
        let slices = run_for.as_nanos().div_ceil(Self::SLICE.as_nanos());
        let slices = usize::try_from(slices).expect("a run of less than a billion years");
        Self {
            run_for,
            good: vec![vec![0; slices]; callers],
            latencies: Vec::new(),
            limits: vec![Vec::new(); callers],
            refused: 0,
            ends: Ends::default(),
        }
    }

    /// The length of a slice of time in what is told over time.
    pub const SLICE: Duration = Duration::from_millis(100);

    /// Answers in time, per second, of the whole run.
    #[must_use]
    pub fn goodput(&self) -> f64 {
        self.goodput_between(Duration::ZERO, self.run_for)
    }

    /// The same of a part of the run, to the [slice](Self::SLICE); 0 of a part without length.
    #[must_use]
    pub fn goodput_between(&self, from: Duration, until: Duration) -> f64 {
        let (first, last) = (slice(from), slice(until));
        let good: u64 = self
            .good
            .iter()
            .flat_map(|of_caller| of_caller.iter().take(last).skip(first))
            .map(|good| u64::from(*good))
            .sum();
        let seconds = until.saturating_sub(from).as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let good = good as f64;
        if seconds > 0.0 { good / seconds } else { 0.0 }
    }

    /// Of 100 calls that were admitted and answered or timed out, 99 took at most this long, from
    /// admission to answer; one that timed out counts as long as its caller waited. Zero if there
    /// were none.
    #[must_use]
    pub fn p99(&self) -> Duration {
        let mut all = self.latencies.clone();
        if all.is_empty() {
            return Duration::ZERO;
        }
        // By nearest rank: the least that so many do not exceed.
        let rank = (all.len() * 99).div_ceil(100) - 1;
        let (_, p99, _) = all.select_nth_unstable_by(rank, f32::total_cmp);
        Duration::from_secs_f64(f64::from(*p99) / 1e9)
    }

    /// How the calls that were admitted ended.
    #[must_use]
    pub fn ends(&self) -> Ends {
        self.ends
    }

    /// How many calls were refused, or had to wait in front.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The limits of each caller over time: at the begin of each [slice](Self::SLICE), and at the
    /// end of the run.
    #[must_use]
    pub fn limits(&self) -> &[Vec<usize>] {
        &self.limits
    }

    /// How evenly the callers fared from `from` on, by their answers in time: 1 if all had the
    /// same, and if none had any; `1/n` if one of `n` had everything.
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

    /// How long after `from` the first second began whose goodput was not below `rate` by more than
    /// the share `tolerance` (0.05 is five percent), if one did that ended by `until`. To the
    /// [slice](Self::SLICE).
    #[must_use]
    pub fn back_after(
        &self,
        from: Duration,
        until: Duration,
        rate: f64,
        tolerance: f64,
    ) -> Option<Duration> {
        let second = Duration::from_secs(1);
        let spare = until.checked_sub(from)?.checked_sub(second)?;
        let slices = u32::try_from(slice(spare)).unwrap_or(u32::MAX);
        (0..=slices).map(|slices| slices * Self::SLICE).find(|after| {
            let begin = from + *after;
            self.goodput_between(begin, begin + second) >= (1.0 - tolerance) * rate
        })
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

impl Ends {
    /// All that were admitted.
    #[must_use]
    pub fn admitted(&self) -> u64 {
        self.answered + self.timed_out + self.overloaded + self.failed + self.unfinished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn trial(good: Vec<Vec<u32>>) -> Trial {
        let slices = u32::try_from(good[0].len()).unwrap();
        Trial { good, ..Trial::new(slices * Trial::SLICE, 1) }
    }

    #[test]
    fn goodput_is_of_all_callers_and_of_the_slices_asked_for() {
        let trial = trial(vec![vec![1, 2, 3, 4], vec![10, 20, 30, 40]]);
        let ms = Duration::from_millis;
        assert!((trial.goodput() - 110.0 / 0.4).abs() < 1e-9);
        assert!((trial.goodput_between(ms(100), ms(300)) - 55.0 / 0.2).abs() < 1e-9);
        assert!(trial.goodput_between(ms(200), ms(200)).abs() < 1e-9);
        assert!(trial.goodput_between(ms(300), ms(200)).abs() < 1e-9);
    }

    #[test]
    fn jain_by_hand() {
        let shares = |good: &[u32]| trial(good.iter().map(|g| vec![9, *g]).collect());
        let jain = |good: &[u32]| shares(good).jain(Trial::SLICE);
        for (good, index) in [
            (&[5, 5, 5, 5][..], 1.0),
            (&[8, 0, 0, 0], 0.25),
            // (1 + 2 + 3)^2 / (3 * (1 + 4 + 9))
            (&[1, 2, 3], 6.0 / 7.0),
            (&[0, 0], 1.0),
        ] {
            assert!((jain(good) - index).abs() < 1e-12, "{good:?}: {}", jain(good));
        }
        assert!(shares(&[8, 0]).jain(Duration::ZERO) > 0.7, "from the begin, nine more for each");
    }

    #[test]
    fn back_after_by_hand() {
        // 100 a second, then none for half a second, then 96 again.
        let mut good = vec![10; 10];
        good.extend([0; 5]);
        good.extend([10, 10, 10, 10, 10, 10, 9, 9, 9, 9, 10, 10, 10]);
        let trial = trial(vec![good]);
        let after = |until, tolerance| trial.back_after(SECOND, until, 100.0, tolerance);
        let ms = Duration::from_millis;
        assert_eq!(after(ms(2800), 0.05), Some(ms(500)), "96 of 100");
        assert_eq!(after(ms(2800), 0.03), None, "never 97");
        assert_eq!(after(ms(2500), 0.05), Some(ms(500)), "the second is just over");
        assert_eq!(after(ms(2400), 0.05), None, "it is not");
        assert_eq!(after(ms(2800), 0.5), Some(ms(0)), "50 are half of it");
        assert_eq!(trial.back_after(Duration::ZERO, SECOND, 100.0, 0.0), Some(ms(0)));
    }

    #[test]
    fn p99_is_the_one_that_99_of_100_do_not_exceed() {
        let mut trial = trial(vec![vec![0]]);
        assert_eq!(trial.p99(), Duration::ZERO);
        trial.latencies = (1_u8..=200).rev().map(|n| f32::from(n) * 1e6).collect();
        assert_eq!(trial.p99(), Duration::from_millis(198));
        trial.latencies.truncate(1);
        assert_eq!(trial.p99(), Duration::from_millis(200));
    }
}
