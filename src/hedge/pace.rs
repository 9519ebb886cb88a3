//! [`Pace`]: the delay of the second attempt, for all calls at once.

use std::time::Duration;

use crate::hedge::Delay;
use crate::hedge::state::Histogram;
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::time::{self, Instant};

/// When second attempts are sent.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // One for each layer, and never moved.
pub(super) enum Pace {
    Fixed(Duration),
    Measured(Measured),
}

impl Pace {
    pub(super) fn new(delay: Delay, window: Duration) -> Self {
        match delay {
            Delay::Fixed(delay) => Self::Fixed(delay),
            Delay::Percentile(share) => Self::Measured(Measured::new(share, window)),
        }
    }

    /// Whether there may be second attempts at all: not before the warm-up.
    #[inline(always)]
    pub(super) fn is_warm(&self) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Measured(measured) => measured.delay.load(Ordering::Relaxed) != NONE,
        }
    }

    /// The delay as of now; none before the warm-up, and when what it was taken from is too old.
    pub(super) fn delay(&self, now: Instant) -> Option<Duration> {
        match self {
            Self::Fixed(delay) => Some(*delay),
            Self::Measured(measured) => measured.delay(now),
        }
    }

    /// Whether latencies are of use.
    #[inline(always)]
    pub(super) fn measures(&self) -> bool {
        matches!(self, Self::Measured(_))
    }

    /// Takes the latency of a first attempt into account.
    pub(super) fn record(&self, now: Instant, latency: Duration) {
        if let Self::Measured(measured) = self {
            measured.record(now, latency);
        }
    }

    /// As [`record`](Self::record), of one that did not wait at all.
    #[inline(always)]
    pub(super) fn record_zero(&self) {
        if let Self::Measured(measured) = self {
            measured.record_zero();
        }
    }
}

/// A histogram that is read without its lock, and written once at the end of a call: with the lock
/// if the call has waited, and without if not.
#[derive(Debug)]
pub(super) struct Measured {
    histogram: Mutex<Histogram>,
    /// Latencies of zero that are not in the histogram yet.
    zeros: AtomicU32,
    /// How many of them put the percentile out of date. This and what follows is the histogram's,
    /// written under its lock. Readers may see some of it from before a change and some from after:
    /// either is right around that moment.
    left: AtomicU32,
    /// In nanoseconds.
    delay: AtomicU64,
    /// Until when the delay holds, in nanoseconds after `since`.
    until: AtomicU64,
    since: Instant,
}

const NONE: u64 = u64::MAX;

impl Measured {
    fn new(share: f64, window: Duration) -> Self {
        let since = time::now();
        let histogram = Histogram::new(share, window, since);
        Self {
            zeros: AtomicU32::new(0),
            left: AtomicU32::new(histogram.left()),
            delay: AtomicU64::new(NONE),
            until: AtomicU64::new(nanos(histogram.until().saturating_duration_since(since))),
            histogram: Mutex::new(histogram),
            since,
        }
    }

    fn delay(&self, now: Instant) -> Option<Duration> {
        let age = nanos(now.saturating_duration_since(self.since));
        if age >= self.until.load(Ordering::Relaxed) {
            self.change(|histogram| histogram.advance(now));
        }
        match self.delay.load(Ordering::Relaxed) {
            NONE => None,
            delay => Some(Duration::from_nanos(delay)),
        }
    }

    fn record(&self, now: Instant, latency: Duration) {
        self.change(|histogram| histogram.record(now, latency));
    }

    #[inline(always)]
    fn record_zero(&self) {
        let zeros = self.zeros.fetch_add(1, Ordering::Relaxed) + 1;
        if zeros >= self.left.load(Ordering::Relaxed) {
            self.record_zeros();
        }
    }

    #[cold]
    fn record_zeros(&self) {
        self.change(|_| false);
    }

    /// Changes the histogram, the zeros first, and publishes what has changed by that.
    fn change(&self, change: impl FnOnce(&mut Histogram) -> bool) {
        let mut histogram = lock(&self.histogram);
        let mut anew = false;
        if self.zeros.load(Ordering::Relaxed) > 0 {
            anew = histogram.record_zeros(self.zeros.swap(0, Ordering::Relaxed));
        }
        if change(&mut histogram) || anew {
            let until = histogram.until().saturating_duration_since(self.since);
            self.delay.store(histogram.delay().map_or(NONE, nanos), Ordering::Relaxed);
            self.until.store(nanos(until), Ordering::Relaxed);
        }
        self.left.store(histogram.left(), Ordering::Relaxed);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NONE - 1)
}
