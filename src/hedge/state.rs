//! The latencies of the last while, and their percentile: the pure machine.

use std::time::Duration;

use crate::time::{self, Instant};

/// So many latencies must be known before anything is said about them.
pub(super) const WARM_UP: u64 = 100;

/// The percentile is taken anew after so many latencies. A divisor of [`WARM_UP`], so that it is
/// there with the hundredth.
const EVERY: u32 = 50;

/// A histogram of two generations, each half a window long: it covers `(window/2, window]`.
///
/// Log-linear, as `HdrHistogram` is: 16 buckets for each doubling from 16 us on, and one for each
/// microsecond below. The percentile is the upper bound of its bucket: never too short, and too
/// long by 1/16 at most, or by 1 us.
#[derive(Debug)]
pub(super) struct Histogram {
    percentile: f64,
    half: Duration,
    /// Both generations.
    both: Counts,
    /// The younger one alone: what stays when they turn over.
    young: Counts,
    /// The end of the younger generation.
    until: Instant,
    left: u32,
    delay: Option<Duration>,
}

impl Histogram {
    /// The percentile is a share, more than 0 and less than 1.
    pub(super) fn new(percentile: f64, window: Duration, now: Instant) -> Self {
        let half = window / 2;
        Self {
            percentile,
            half,
            both: Counts::new(),
            young: Counts::new(),
            until: time::later(now, half),
            left: EVERY,
            delay: None,
        }
    }

    /// Adds a latency. Tells whether the percentile was taken anew.
    pub(super) fn record(&mut self, now: Instant, latency: Duration) -> bool {
        let turned = self.advance(now);
        self.add(bucket_of(latency), 1) || turned
    }

    /// Adds latencies of zero: of calls that never waited, and so never read the clock. Nothing
    /// turns over.
    pub(super) fn record_zeros(&mut self, count: u32) -> bool {
        self.add(bucket_of(Duration::ZERO), count)
    }

    fn add(&mut self, bucket: usize, count: u32) -> bool {
        self.both.add(bucket, count);
        self.young.add(bucket, count);
        let due = count >= self.left;
        self.left = left(self.both.samples);
        if due {
            self.reckon();
        }
        due
    }

    /// How many latencies are to come until the percentile is taken anew.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// Lets go of what is too old. Tells whether the percentile was taken anew.
    #[inline(always)]
    pub(super) fn advance(&mut self, now: Instant) -> bool {
        let over = now >= self.until;
        if over {
            self.turn(now);
        }
        over
    }

    /// The percentile, as it was last taken; none before the warm-up.
    pub(super) fn delay(&self) -> Option<Duration> {
        self.delay
    }

    /// Until when the percentile holds without another latency.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    #[cold]
    fn turn(&mut self, now: Instant) {
        let next = time::later(self.until, self.half);
        if now < next {
            self.both.clone_from(&self.young);
            self.until = next;
        } else {
            self.both.clear();
            self.until = time::later(now, self.half);
        }
        self.young.clear();
        self.left = left(self.both.samples);
        self.reckon();
    }

    #[cfg(any(test, fuzzing, buttress_fuzz))]
    pub(super) fn samples(&self) -> u64 {
        self.both.samples
    }

    fn reckon(&mut self) {
        let enough = self.both.samples >= WARM_UP || cfg!(mutant = "hedge-before-warm-up");
        self.delay = enough.then(|| bound_of(self.both.bucket_at(self.percentile)));
    }
}

/// After so many, how many are to come until the next multiple of [`EVERY`].
fn left(samples: u64) -> u32 {
    #[allow(clippy::cast_possible_truncation)] // Less than `EVERY`.
    let over = (samples % u64::from(EVERY)) as u32;
    EVERY - over
}

#[derive(Debug)]
struct Counts {
    buckets: Box<[u32; BUCKETS]>,
    samples: u64,
}

impl Counts {
    fn new() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), samples: 0 }
    }

    fn add(&mut self, bucket: usize, count: u32) {
        let there = &mut self.buckets[bucket];
        // Four billion within a window: whatever has so many decides.
        *there = there.saturating_add(count);
        self.samples += u64::from(count);
    }

    fn clear(&mut self) {
        self.buckets.fill(0);
        self.samples = 0;
    }

    fn clone_from(&mut self, other: &Self) {
        *self.buckets = *other.buckets;
        self.samples = other.samples;
    }

    /// The first bucket up to which there is at least this share of all samples.
    fn bucket_at(&self, share: f64) -> usize {
        #[allow(clippy::cast_precision_loss)] // Exact up to 2^53 samples.
        let wanted = share * self.samples as f64;
        let mut seen = 0;
        let reached = self.buckets.iter().position(|count| {
            seen += u64::from(*count);
            #[allow(clippy::cast_precision_loss)]
            let reached = seen as f64 >= wanted;
            reached
        });
        reached.unwrap_or(BUCKETS - 1)
    }
}

/// Buckets for each doubling.
const FINE: u32 = 16;
/// Up to 2^32 us, which are 71 minutes. What takes longer counts as that.
const BUCKETS: usize = bucket(u32::MAX) + 1;

fn bucket_of(latency: Duration) -> usize {
    let seconds = latency.as_secs().saturating_mul(1_000_000);
    let micros = seconds.saturating_add(u64::from(latency.subsec_micros()));
    bucket(u32::try_from(micros).unwrap_or(u32::MAX))
}

/// Below 16 us the number itself; above, how often it can be halved down to 16 or more, and what
/// it is then.
const fn bucket(micros: u32) -> usize {
    if micros < FINE {
        return micros as usize;
    }
    let halvings = micros.ilog2() - FINE.ilog2();
    (halvings * FINE + (micros >> halvings)) as usize
}

/// The upper bound of a bucket: whatever is in it is shorter.
fn bound_of(bucket: usize) -> Duration {
    let fine = FINE as usize;
    let micros = match (bucket / fine).checked_sub(1) {
        None => bucket as u64 + 1,
        Some(halvings) => ((bucket % fine + fine) as u64 + 1) << halvings,
    };
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hedge::model::{Call, run};

    const MS: Duration = Duration::from_millis(1);

    fn any_latency() -> impl Strategy<Value = Duration> {
        let nanos = prop_oneof![
            0u64..40_000,
            0u64..1_000_000_000,
            (0u32..43).prop_flat_map(|bits| 0..=(1u64 << bits)),
        ];
        nanos.prop_map(Duration::from_nanos)
    }

    #[test]
    fn buckets_follow_on_each_other_without_gap_or_overlap() {
        for bucket in 0..BUCKETS {
            let bound = bound_of(bucket);
            assert_eq!(bucket_of(bound.saturating_sub(Duration::from_nanos(1))), bucket);
            assert_eq!(bucket_of(bound), (bucket + 1).min(BUCKETS - 1), "{bound:?}");
        }
        assert_eq!(BUCKETS, 464);
        assert_eq!(bucket_of(Duration::ZERO), 0);
        assert_eq!(bucket_of(Duration::MAX), BUCKETS - 1);
        assert_eq!(bound_of(BUCKETS - 1), Duration::from_micros(1 << 32));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn it_agrees_with_the_sorted_samples(
            percentile in 0.01f64..0.999,
            half in 50u64..400,
            calls in prop::collection::vec((prop::option::weighted(0.7, 0u64..8), any_latency()), 0..900),
        ) {
            let calls = calls.into_iter().map(|(waited, latency)| Call {
                waited: waited.map(|ms| Duration::from_millis(ms * ms * ms)),
                latency,
            });
            run(percentile, Duration::from_millis(half), calls);
        }
    }

    #[test]
    fn what_turns_over_is_forgotten_half_by_half() {
        let start = time::now();
        let at = |ms: u32| start + MS * ms;
        let mut histogram = Histogram::new(0.95, 200 * MS, start);
        for _ in 0..100 {
            histogram.record(at(10), 5 * MS);
        }
        assert!(histogram.delay().is_some());
        assert!(!histogram.advance(at(99)));
        assert!(histogram.advance(at(100)));
        assert!(histogram.delay().is_some(), "the older generation still counts");
        for _ in 0..99 {
            histogram.record(at(150), MS);
        }
        assert!(histogram.advance(at(200)));
        assert_eq!((histogram.delay(), histogram.both.samples), (None, 99));
        histogram.record(at(201), MS);
        assert!(histogram.delay().is_some_and(|delay| delay < 2 * MS));
        assert!(histogram.advance(at(900)), "both are too old");
        assert_eq!((histogram.delay(), histogram.both.samples), (None, 0));
        assert_eq!(histogram.until(), at(1000));
    }

    #[test]
    fn zeros_count_like_any_other_one_by_one_or_together() {
        let start = time::now();
        for at_once in [1, 7, 33, 100, 150] {
            let mut histogram = Histogram::new(0.95, 200 * MS, start);
            for known in (0..300).step_by(at_once as usize) {
                assert_eq!(histogram.delay().is_some(), known >= 100, "{known} by {at_once}");
                histogram.record_zeros(at_once);
            }
            assert_eq!(histogram.delay(), Some(Duration::from_micros(1)));
        }
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing() {
        let start = time::now() + 500 * MS;
        let mut histogram = Histogram::new(0.95, 200 * MS, start);
        for _ in 0..100 {
            histogram.record(start - 400 * MS, 5 * MS);
        }
        assert!(histogram.delay().is_some());
    }
}
