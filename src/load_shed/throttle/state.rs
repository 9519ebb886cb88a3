//! [`Machine`]: the counts, and what follows from them.

use std::time::Duration;

use crate::load_shed::throttle::floor::Floor;
use crate::load_shed::throttle::tally::{LAST, SLICES, Tally};
use crate::sync::stripes::Stripes;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Instant;

/// Requests and accepts over a sliding window.
///
/// A request counts as accepted from the start, until it turns out not to have been: so calls that
/// take long look like nothing that they are not, and all that a call does while nothing is wrong
/// is one addition to a word that few threads write. What is kept is the difference of requests
/// and accepts, which is small. It belongs to the time of the request and leaves the window with
/// it: there are never more accepts than requests, nor fewer than none.
#[derive(Debug)]
pub(super) struct Machine {
    requests: Stripes<Tally>,
    /// Requests that were not accepted.
    lowered: Tally,
    /// How often that has been added to, ever.
    lowerings: AtomicU64,
    /// A slice and a number of `lowerings`, together one word, for which the probability was found
    /// to be 0. It stays so while they stay the same, since requests only lower it: such a
    /// call adds nothing up.
    calm: AtomicU64,
    floor: Floor,
    multiplier: f64,
    start: Instant,
    /// Nanoseconds in a slice.
    width: u64,
}

/// What became of a call that has just come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// What [`Machine::lower`] wants.
    pub(super) slice: u64,
    pub(super) refused: bool,
}

impl Machine {
    pub(super) fn new(multiplier: f64, window: Duration, floor: f64, start: Instant) -> Self {
        let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        Self {
            requests: Stripes::default(),
            lowered: Tally::default(),
            lowerings: AtomicU64::new(0),
            calm: AtomicU64::new(0),
            floor: Floor::new(floor),
            multiplier,
            start,
            width: (window / SLICES).max(1),
        }
    }

    /// Decides on a call and counts it, as accepted unless it is refused. Draws, uniformly of
    /// `[0, 1)`, only where refusing is possible.
    #[inline(always)]
    pub(super) fn arrive(&self, now: Instant, draw: impl FnOnce() -> f64) -> Arrival {
        let slice = self.slice(now);
        let refused = !self.is_calm(slice) && self.refuses(now, draw);
        #[cfg(mutant = "local-refusals-uncounted")]
        if refused {
            return Arrival { slice, refused };
        }
        self.requests.mine().add(slice);
        if refused {
            self.lower(slice);
        }
        Arrival { slice, refused }
    }

    #[inline(always)]
    fn is_calm(&self, slice: u64) -> bool {
        let lowerings = self.lowerings.load(Ordering::Acquire);
        self.calm.load(Ordering::Acquire) == calm(slice, lowerings)
    }

    #[cold]
    fn refuses(&self, now: Instant, draw: impl FnOnce() -> f64) -> bool {
        let slice = self.slice(now);
        // Before adding up: whatever lowers the accepts meanwhile makes this finding void.
        let lowerings = self.lowerings.load(Ordering::Acquire);
        let probability = self.counts(now).probability(self.multiplier);
        if probability <= 0.0 {
            self.calm.store(calm(slice, lowerings), Ordering::Release);
            return false;
        }
        draw() < probability && !self.floor.passes(self.elapsed(now))
    }

    /// A request of this slice turned out not to have been accepted.
    pub(super) fn lower(&self, slice: u64) {
        self.lowered.add(slice);
        self.lowerings.fetch_add(1, Ordering::Release);
    }

    /// What the window holds at `now`.
    pub(super) fn counts(&self, now: Instant) -> Counts {
        let slice = self.slice(now);
        let lowered = self.lowered.sum(slice);
        let requests: u64 = self.requests.iter().map(|stripe| stripe.sum(slice)).sum();
        // The two are not added up at one moment.
        Counts { requests, accepts: requests.saturating_sub(lowered) }
    }

    /// The probability with which a call is refused at `now`.
    pub(super) fn probability(&self, now: Instant) -> f64 {
        self.counts(now).probability(self.multiplier)
    }

    fn elapsed(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start).as_nanos();
        u64::try_from(elapsed).unwrap_or(u64::MAX)
    }

    #[inline(always)]
    fn slice(&self, now: Instant) -> u64 {
        (self.elapsed(now) / self.width).min(LAST)
    }
}

/// One word of both: to be mistaken, 268 million lowerings would have to come in one slice.
fn calm(slice: u64, lowerings: u64) -> u64 {
    slice << 28 | lowerings & ((1 << 28) - 1)
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
    use crate::rng::Rng;
    use crate::time;

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
            let machine = Machine::new(multiplier, Duration::from_secs(120), 0.0, start);
            let mut rng = Rng::new(Some(3));
            let (mut accepted, mut rejected) = (0.0, 0.0);
            // Ten times what the backend takes, which is a call each 100 ms.
            for call in 0..100_000_u32 {
                let arrival =
                    machine.arrive(start + Duration::from_millis(10) * call, || rng.fraction());
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
