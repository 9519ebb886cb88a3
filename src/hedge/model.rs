//! The histogram against a naive model that keeps every sample: for the tests, and for `fuzz/`.

use std::time::Duration;

use crate::hedge::state::{Histogram, WARM_UP};
use crate::time::{self, Instant};

/// The end of a first attempt.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// How much later than the one before; none, if it never waited and so read no clock.
    pub waited: Option<Duration>,
    /// Of no account for one that never waited.
    pub latency: Duration,
}

/// All samples of the two generations, as they are.
struct Naive {
    percentile: f64,
    half: Duration,
    until: Instant,
    young: Vec<Duration>,
    old: Vec<Duration>,
}

impl Naive {
    fn advance(&mut self, now: Instant) {
        let mut turns = 0;
        // After two nothing is left that a third could change.
        while turns < 3 && now >= self.until + self.half * turns {
            turns += 1;
            self.old = std::mem::take(&mut self.young);
        }
        match turns {
            0 => {}
            1 => self.until += self.half,
            // Idle for longer than the window: it begins anew.
            _ => self.until = now + self.half,
        }
    }

    fn percentile(&self) -> Option<Duration> {
        let mut all = [&self.young[..], &self.old].concat();
        all.sort_unstable();
        #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss)]
        #[allow(clippy::cast_possible_truncation)]
        let rank = (self.percentile * all.len() as f64).ceil() as usize;
        (all.len() as u64 >= WARM_UP).then(|| all[rank.max(1) - 1])
    }

    fn compare(&self, histogram: &Histogram, anew: bool) {
        let known = self.young.len() + self.old.len();
        assert_eq!(histogram.samples(), known as u64);
        assert_eq!(histogram.until(), self.until);
        assert_eq!(histogram.left() as usize, 50 - known % 50);
        let due = known.is_multiple_of(50);
        assert!(anew || !due);
        let delay = histogram.delay();
        if known < 100 {
            assert_eq!(delay, None);
        }
        if let Some(exact) = due.then(|| self.percentile()).flatten() {
            let delay = delay.expect("enough is known");
            let longest = Duration::from_micros(u64::from(u32::MAX));
            assert!(delay > exact.min(longest), "{delay:?} for {exact:?}");
            let bound = (exact * 17 / 16).max(exact + Duration::from_micros(1));
            assert!(delay <= bound, "{delay:?} for {exact:?}");
        }
    }
}

/// Panics where the histogram does otherwise than the model: where the percentile is not that of
/// the sorted samples, from just above to 1/16 above. `half` is half of the window.
///
/// # Panics
///
/// There.
pub fn run(percentile: f64, half: Duration, calls: impl IntoIterator<Item = Call>) {
    let mut now = time::now();
    let mut histogram = Histogram::new(percentile, half * 2, now);
    let mut naive = Naive { percentile, half, until: now + half, young: vec![], old: vec![] };
    for Call { waited, latency } in calls {
        let (anew, latency) = match waited {
            Some(waited) => {
                now += waited;
                naive.advance(now);
                (histogram.record(now, latency), latency)
            }
            None => (histogram.record_zeros(1), Duration::ZERO),
        };
        naive.young.push(latency);
        naive.compare(&histogram, anew);
    }
}
