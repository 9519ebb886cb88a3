//! [`Machine`]: the counts, and what follows from them.

use std::time::Duration;

use crate::load_shed::throttle::floor::Floor;
use crate::load_shed::throttle::tally::{LAST, Live, Past, SLICES, Sums};
use crate::rng::Rng;
use crate::sync::stripes::Stripes;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock};
use crate::time::{self, Instant};

/// Requests and accepts over a sliding window.
///
/// A request counts as accepted from the start, until it turns out not to have been: so calls that
/// take long look like nothing that they are not, and all that a call does while nothing is wrong
/// is one addition to a word that few threads write. What is kept is the difference of requests
/// and accepts. It belongs to the time of the request and leaves the window with it: there are
/// never more accepts than requests, nor fewer than none.
#[derive(Debug)]
pub(super) struct Machine {
    /// The requests of the newest slice, but for those that came when it was not yet, or not any
    /// more, the newest.
    live: Stripes<Live>,
    /// Locked when a slice ends, and where refusing is possible.
    slow: Mutex<Slow>,
    /// A slice for which the probability was found to be 0. It stays so until a request turns out
    /// not to have been accepted, since further requests only lower it: such a call adds nothing
    /// up. Written under the lock.
    calm: AtomicU64,
    floor: Floor,
    multiplier: f64,
    start: Instant,
    /// Nanoseconds in a slice.
    width: u64,
}

#[derive(Debug)]
struct Slow {
    past: Past,
    rng: Rng,
}

/// No slice is calm.
const NONE: u64 = u64::MAX;

/// A slice, kept by whoever asks often: comparing two instants costs a fraction of subtracting
/// them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    number: u64,
    until: Instant,
}

/// What became of a call that has just come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// What [`Machine::lower`] wants.
    pub(super) slice: u64,
    pub(super) refused: bool,
}

impl Machine {
    pub(super) fn new(
        multiplier: f64,
        window: Duration,
        floor: f64,
        rng: Rng,
        start: Instant,
    ) -> Self {
        let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        Self {
            live: Stripes::default(),
            slow: Mutex::new(Slow { past: Past::default(), rng }),
            calm: AtomicU64::new(0),
            floor: Floor::new(floor),
            multiplier,
            start,
            width: (window / SLICES).max(1),
        }
    }

    /// The first slice.
    pub(super) fn first(&self) -> Slice {
        self.slice(self.start)
    }

    /// Decides on a call and counts it, as accepted unless it is refused. Draws, uniformly of
    /// `[0, 1)`, only where refusing is possible. `seen` is a slice not later than now.
    #[inline(always)]
    pub(super) fn arrive(
        &self,
        seen: &mut Slice,
        now: Instant,
        draw: impl FnOnce(&mut Rng) -> f64,
    ) -> Arrival {
        if now >= seen.until {
            *seen = self.slice(now);
        }
        let slice = seen.number;
        if self.calm.load(Ordering::Relaxed) != slice && self.refuses(slice, now, draw) {
            return Arrival { slice, refused: true };
        }
        if !self.live.mine().add(slice) {
            self.add(slice, Sums { requests: 1, lowered: 0 });
        }
        Arrival { slice, refused: false }
    }

    /// A call that is refused is counted here: the lock is held anyway.
    #[inline(never)]
    fn refuses(&self, slice: u64, now: Instant, draw: impl FnOnce(&mut Rng) -> f64) -> bool {
        let mut slow = self.lock(slice);
        let probability = self.add_up(&slow.past).probability(self.multiplier);
        if probability <= 0.0 {
            self.calm.store(slice, Ordering::Relaxed);
            return false;
        }
        if draw(&mut slow.rng) >= probability || self.floor.passes(self.elapsed(now)) {
            return false;
        }
        #[cfg(not(mutant = "local-refusals-uncounted"))]
        slow.past.add(slice, Sums { requests: 1, lowered: 1 });
        true
    }

    /// A request of this slice turned out not to have been accepted.
    #[cold]
    pub(super) fn lower(&self, slice: u64) {
        self.add(slice, Sums { requests: 0, lowered: 1 });
    }

    #[cold]
    fn add(&self, slice: u64, more: Sums) {
        let mut slow = self.lock(slice);
        slow.past.add(slice, more);
        if more.lowered > 0 {
            self.calm.store(NONE, Ordering::Relaxed);
        }
    }

    /// What the window holds at `now`.
    pub(super) fn counts(&self, now: Instant) -> Counts {
        self.add_up(&self.lock(self.slice(now).number).past)
    }

    /// The probability with which a call is refused at `now`.
    pub(super) fn probability(&self, now: Instant) -> f64 {
        self.counts(now).probability(self.multiplier)
    }

    /// With the window at this slice, unless somebody has read a later one off the clock since.
    fn lock(&self, slice: u64) -> MutexGuard<'_, Slow> {
        let mut slow = lock(&self.slow);
        if slice > slow.past.newest() {
            self.turn(&mut slow.past, slice);
        }
        slow
    }

    #[cold]
    fn turn(&self, past: &mut Past, slice: u64) {
        let live = self.live.iter().map(|live| live.turn(slice)).sum();
        past.turn(slice, live);
    }

    fn add_up(&self, past: &Past) -> Counts {
        let Sums { requests, lowered } = past.sums();
        let requests = requests + self.live.iter().map(Live::count).sum::<u64>();
        // A request may be lowered before others see that it came.
        Counts { requests, accepts: requests.saturating_sub(lowered) }
    }

    fn elapsed(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start).as_nanos();
        u64::try_from(elapsed).unwrap_or(u64::MAX)
    }

    #[cold]
    fn slice(&self, now: Instant) -> Slice {
        let number = (self.elapsed(now) / self.width).min(LAST);
        let end = Duration::from_nanos(self.width.saturating_mul(number + 1));
        Slice { number, until: time::later(self.start, end) }
    }
}

/// Requests and accepts in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) accepts: u64,
}

impl Counts {
    /// Google SRE book, chapter 21: `max(0, (requests - K * accepts) / (requests + 1))`.
    #[allow(clippy::cast_precision_loss)] // Far below 2^52.
    fn probability(self, multiplier: f64) -> f64 {
        let (requests, accepts) = (self.requests as f64, self.accepts as f64);
        ((requests - multiplier * accepts) / (requests + 1.0)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probability(multiplier: f64, requests: u64, accepts: u64) -> f64 {
        Counts { requests, accepts }.probability(multiplier)
    }

    #[track_caller]
    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }

    /// "Clients can continue to issue requests to the backend until requests is K times as large
    /// as accepts."
    #[test]
    fn throttling_starts_where_requests_are_k_times_the_accepts() {
        assert_near(probability(2.0, 200, 100), 0.0);
        assert_near(probability(2.0, 201, 100), 1.0 / 202.0);
        assert_near(probability(1.5, 150, 100), 0.0);
        assert!(probability(1.1, 111, 100) > 0.0);
        assert_near(probability(2.0, 0, 0), 0.0);
        assert_near(probability(2.0, 100, 100), 0.0);
        assert_near(probability(2.0, 100, 0), 100.0 / 101.0);
    }

    /// "Reducing the multiplier will make adaptive throttling behave more aggressively": from 2 to
    /// 1.1, a backend rejects one request for every ten that it accepts, and not one for one.
    #[test]
    fn the_multiplier_sets_how_many_rejections_the_backend_sees_for_each_accept() {
        for (multiplier, rejected_for_each) in [(2.0, 1.0), (1.1, 0.1)] {
            let start = time::now();
            let rng = Rng::new(Some(3));
            let machine = Machine::new(multiplier, Duration::from_secs(120), 0.0, rng, start);
            let mut slice = machine.first();
            let (mut accepted, mut rejected) = (0.0, 0.0);
            // Ten times what the backend takes, which is a call each 100 ms.
            for call in 0..100_000_u32 {
                let now = start + Duration::from_millis(10) * call;
                let arrival = machine.arrive(&mut slice, now, Rng::fraction);
                if call == 50_000 {
                    rejected = 0.0;
                }
                if arrival.refused {
                    continue;
                }
                if f64::from(call) / 10.0 >= accepted {
                    accepted += 1.0;
                } else {
                    machine.lower(arrival.slice);
                    rejected += 1.0;
                }
            }
            let share = rejected / (accepted / 2.0);
            assert!((share - rejected_for_each).abs() < 0.1 * rejected_for_each + 0.02, "{share}");
        }
    }
}
