//! Sliding windows over the outcomes of calls.

#[cfg(any(test, fuzzing, buttress_fuzz))]
pub(crate) mod model;

use std::time::Duration;

use crate::config::{ConfigError, check};
use crate::time::{self, Instant};

/// What a rate is taken over: the last n calls, or the last d of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Window {
    /// The last so many calls.
    Count(u32),
    /// The last so much time.
    Time(Duration),
}

impl Window {
    /// The last `calls` calls, however old. One byte each.
    #[must_use]
    pub fn count(calls: u32) -> Self {
        Self::Count(calls)
    }

    /// The last `span` of time, in ten buckets: it covers `(span - span/10, span]`, since the
    /// newest bucket is only partly filled. Its cost does not depend on the number of calls.
    #[must_use]
    pub fn time(span: Duration) -> Self {
        Self::Time(span)
    }

    pub(crate) fn check(self, setting: &'static str) -> Result<(), ConfigError> {
        match self {
            // The ring is allocated whole: a bound keeps a slip of the pen from taking the memory.
            Self::Count(calls) => {
                check((1..=10_000_000).contains(&calls), setting, self, "1 to 10,000,000 calls")
            }
            Self::Time(span) => {
                check(span >= Duration::from_millis(1), setting, self, "1 ms or longer")
            }
        }
    }
}

/// One outcome, as a window keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

/// Sums over a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) slow: u64,
}

impl Totals {
    fn add(&mut self, outcome: Outcome) {
        self.calls += 1;
        self.failed += u64::from(outcome.failed);
        self.slow += u64::from(outcome.slow);
    }

    fn subtract(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failed -= other.failed;
        self.slow -= other.slow;
    }
}

impl From<Outcome> for Totals {
    fn from(outcome: Outcome) -> Self {
        let mut totals = Self::default();
        totals.add(outcome);
        totals
    }
}

/// The outcomes inside a window, with running sums: recording is O(1) for both kinds.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // One for each circuit, and never moved.
pub(crate) enum Outcomes {
    Count(Ring),
    Time(Buckets),
}

impl Outcomes {
    pub(crate) fn new(window: Window, now: Instant) -> Self {
        match window {
            Window::Count(size) => Self::Count(Ring::new(size, now)),
            Window::Time(span) => Self::Time(Buckets::new(span, now)),
        }
    }

    pub(crate) fn record(&mut self, now: Instant, outcome: Outcome) {
        match self {
            Self::Count(ring) => ring.record(outcome),
            Self::Time(buckets) => buckets.record(now, outcome),
        }
    }

    /// So many outcomes without a fault, that ended in that slot. Those of a slot that has left the
    /// window are gone.
    pub(crate) fn record_good(&mut self, slot: Slot, calls: u64) {
        match self {
            // A whole ring of them leaves nothing else in it.
            Self::Count(ring) => {
                (0..calls.min(ring.outcomes.len() as u64))
                    .for_each(|_| ring.record(Outcome::default()));
            }
            Self::Time(buckets) => buckets.record_good(slot, calls),
        }
    }

    /// Where an outcome goes that ends at present.
    pub(crate) fn slot(&self) -> Slot {
        match self {
            Self::Count(ring) => Slot { number: 0, until: ring.until },
            Self::Time(buckets) => Slot { number: buckets.steps, until: buckets.newest_until },
        }
    }

    /// The sums as of the latest time that it was shown.
    pub(crate) fn present(&self) -> Totals {
        match self {
            Self::Count(ring) => ring.totals,
            Self::Time(buckets) => buckets.totals,
        }
    }

    /// The sums as of `now`: what has left the window by then is not in them.
    pub(crate) fn totals(&mut self, now: Instant) -> Totals {
        match self {
            Self::Count(ring) => ring.totals,
            Self::Time(buckets) => {
                buckets.advance(now);
                buckets.totals
            }
        }
    }

    pub(crate) fn clear(&mut self, now: Instant) {
        match self {
            Self::Count(ring) => ring.clear(),
            Self::Time(buckets) => *buckets = Buckets::new(buckets.width * BUCKETS, now),
        }
    }
}

/// A part of a window in which it makes no difference when an outcome ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    number: u64,
    until: Instant,
}

impl Slot {
    /// Whether an outcome belongs here that ends `now`.
    #[inline]
    pub(crate) fn holds(self, now: Instant) -> bool {
        now < self.until
    }
}

/// The last n outcomes: a ring in which the newest overwrites the oldest.
#[derive(Debug)]
pub(crate) struct Ring {
    outcomes: Box<[Outcome]>,
    next: usize,
    totals: Totals,
    /// As good as never.
    until: Instant,
}

impl Ring {
    fn new(size: u32, now: Instant) -> Self {
        Self {
            until: time::later(now, Duration::MAX),
            outcomes: vec![Outcome::default(); size as usize].into(),
            next: 0,
            totals: Totals::default(),
        }
    }

    fn record(&mut self, outcome: Outcome) {
        #[cfg(not(mutant = "count-window-never-evicts"))]
        if self.totals.calls == self.outcomes.len() as u64 {
            self.totals.subtract(self.outcomes[self.next].into());
        }
        self.outcomes[self.next] = outcome;
        self.totals.add(outcome);
        self.next = if self.next + 1 == self.outcomes.len() { 0 } else { self.next + 1 };
    }

    fn clear(&mut self) {
        self.next = 0;
        self.totals = Totals::default();
    }
}

const BUCKETS: u32 = 10;

/// The last d of time: buckets of d/10, each a sum.
///
/// The alternative, a queue of timestamps, costs memory and time for every call and grows with
/// the rate; it would be exact to the nanosecond, which no threshold needs.
#[derive(Debug)]
pub(crate) struct Buckets {
    sums: [Totals; BUCKETS as usize],
    totals: Totals,
    width: Duration,
    /// The start of the newest bucket. Moves by whole widths only, so that no rounding adds up.
    newest_since: Instant,
    /// Its end. Kept, since comparing two instants costs a fraction of subtracting them.
    newest_until: Instant,
    newest: usize,
    /// How many buckets there were before the newest.
    steps: u64,
}

impl Buckets {
    fn new(span: Duration, now: Instant) -> Self {
        let width = (span / BUCKETS).max(Duration::from_nanos(1));
        Self {
            sums: Default::default(),
            totals: Totals::default(),
            width,
            newest_since: now,
            newest_until: time::later(now, width),
            newest: 0,
            steps: 0,
        }
    }

    fn record(&mut self, now: Instant, outcome: Outcome) {
        self.advance(now);
        self.sums[self.newest].add(outcome);
        self.totals.add(outcome);
    }

    fn record_good(&mut self, slot: Slot, calls: u64) {
        let age = self.steps - slot.number;
        if age < BUCKETS.into() {
            // Less than the number of buckets.
            #[allow(clippy::cast_possible_truncation)]
            let at = (self.newest + BUCKETS as usize - age as usize) % BUCKETS as usize;
            self.sums[at].calls += calls;
            self.totals.calls += calls;
        }
    }

    /// Lets buckets leave until the newest one holds `now`. A clock that stands still or goes
    /// back leaves the newest where it is.
    #[inline]
    fn advance(&mut self, now: Instant) {
        if now >= self.newest_until && !cfg!(mutant = "time-window-never-expires") {
            self.leave_newest(now);
        }
    }

    #[cold]
    fn leave_newest(&mut self, now: Instant) {
        let ahead = now.saturating_duration_since(self.newest_since);
        let steps = ahead.as_nanos() / self.width.as_nanos();
        self.steps = self.steps.saturating_add(u64::try_from(steps).unwrap_or(u64::MAX));
        for _ in 0..steps.min(BUCKETS.into()) {
            self.newest = (self.newest + 1) % BUCKETS as usize;
            let leaving = std::mem::take(&mut self.sums[self.newest]);
            self.totals.subtract(leaving);
        }
        self.newest_since = now - remainder(ahead, self.width);
        self.newest_until = time::later(self.newest_since, self.width);
    }
}

/// `time % width`.
fn remainder(time: Duration, width: Duration) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    let nanos = time.as_nanos() % width.as_nanos();
    // Both fit: the remainder of a `Duration` by a `Duration` is a `Duration`.
    #[allow(clippy::cast_possible_truncation)]
    Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::window::model::{Op, run};

    const FAILED: Outcome = Outcome { failed: true, slow: false };
    const OK: Outcome = Outcome { failed: false, slow: false };

    #[test]
    fn a_count_window_evicts_the_oldest() {
        let now = time::now();
        let mut window = Outcomes::new(Window::count(3), now);
        for _ in 0..1000 {
            window.record(now, FAILED);
        }
        for failed in [3, 2, 1, 0, 0] {
            assert_eq!(window.totals(now), Totals { calls: 3, failed, slow: 0 });
            window.record(now, OK);
        }
    }

    #[test]
    fn a_time_window_covers_its_span_less_one_bucket() {
        let start = time::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut window = Outcomes::new(Window::time(Duration::from_secs(1)), start);
        window.record(at(0), FAILED);
        assert_eq!(window.totals(at(999)).calls, 1, "still inside");
        assert_eq!(window.totals(at(1000)).calls, 0, "gone after the whole span");
        window.record(at(1099), FAILED);
        assert_eq!(window.totals(at(1999)).calls, 1, "older than the span less a bucket");
        assert_eq!(window.totals(at(2000)).calls, 0);
    }

    #[test]
    fn reads_expire_as_writes_do_and_idle_months_cost_nothing() {
        let start = time::now();
        let mut window = Outcomes::new(Window::time(Duration::from_secs(10)), start);
        window.record(start, FAILED);
        let later = start + Duration::from_secs(60 * 24 * 60 * 60);
        assert_eq!(window.totals(later), Totals::default());
        window.record(later, OK);
        assert_eq!(window.totals(later).calls, 1);
    }

    #[test]
    fn a_clock_that_goes_back_loses_nothing() {
        let start = time::now() + Duration::from_secs(100);
        let mut window = Outcomes::new(Window::time(Duration::from_secs(10)), start);
        window.record(start, FAILED);
        window.record(start - Duration::from_secs(50), FAILED);
        assert_eq!(window.totals(start - Duration::from_secs(99)).failed, 2);
    }

    #[test]
    fn buckets_move_by_whole_widths() {
        let start = time::now();
        let mut buckets = Buckets::new(Duration::from_secs(10), start);
        for millis in (0..100_000).step_by(37) {
            buckets.advance(start + Duration::from_millis(millis));
            let offset = buckets.newest_since - start;
            assert_eq!(offset.subsec_nanos(), 0, "a bucket starts on a whole second");
        }
    }

    fn op() -> impl Strategy<Value = Op> {
        let millis = prop_oneof![
            8 => 0u64..40,
            4 => 0u64..2_000,
            2 => (1u64..30).prop_map(|buckets| 100 * buckets),
            1 => 0u64..100_000_000_000,
        ];
        let time = millis.prop_map(Duration::from_millis);
        prop_oneof![
            6 => time.clone().prop_map(Op::Wait),
            1 => time.prop_map(Op::Back),
            12 => (any::<bool>(), any::<bool>())
                .prop_map(|(failed, slow)| Op::Record { failed, slow }),
            6 => Just(Op::Read),
            1 => Just(Op::Clear),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn the_window_is_its_naive_model(
            window in prop_oneof![
                (1u32..12).prop_map(Window::count),
                (1u64..3_000).prop_map(|ms| Window::time(Duration::from_millis(ms))),
                Just(Window::time(Duration::from_secs(1))),
            ],
            ops in prop::collection::vec(op(), 1..200),
        ) {
            run(window, ops);
        }
    }
}
