//! [`Codel`]: whether a queue stands, as against a burst that drains.
//!
//! Controlled delay tells the two apart by the *minimum* wait over an interval: a burst is gone
//! within it, and somebody then waits little; in a standing queue nobody does. Kathleen Nichols
//! and Van Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012; RFC 8289. What is done about
//! it is the form for servers in Ben Maurer, "Fail at Scale", ACM Queue 13(8), 2015: a request may
//! wait for the interval, and in a standing queue only for the target.

#[cfg(any(test, fuzzing, buttress_fuzz))]
pub(crate) mod model;

use std::time::Duration;

use crate::time::{self, Instant};

/// Follows one queue. Pure: told who comes and goes, and when.
///
/// Overloaded once the queue has not been empty for `interval`, and nobody has left it in that time
/// after a wait of `target` or less; until it runs empty, and nobody has had to be refused for
/// `interval`. A short wait alone does not end it: where the newest go first, somebody always waits
/// little, however long the queue stands. An empty queue alone does not either: where most are
/// refused, the few who are left are served in no time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codel {
    target: Duration,
    interval: Duration,
    /// When the wait was last known to be `target` at most.
    low: Option<Instant>,
    /// When somebody was last refused after a wait.
    refused: Option<Instant>,
    /// While the queue is empty: when what was before is forgotten.
    forgotten: Option<Instant>,
}

impl Codel {
    pub(crate) fn new(target: Duration, interval: Duration) -> Self {
        Self { target, interval, low: None, refused: None, forgotten: None }
    }

    /// Somebody begins to wait.
    pub(crate) fn joined(&mut self, now: Instant) {
        if self.forgotten.take().is_some_and(|at| at <= now) {
            (self.low, self.refused) = (None, None);
        }
        self.low.get_or_insert(now);
    }

    /// Somebody was served after this wait.
    pub(crate) fn served(&mut self, now: Instant, waited: Duration) {
        if waited <= self.target && !self.is_overloaded(now) {
            self.low = Some(now);
        }
    }

    /// Somebody was refused for having waited too long.
    pub(crate) fn refused(&mut self, now: Instant) {
        self.refused = Some(now);
    }

    /// The queue is empty, since everybody was served.
    pub(crate) fn drained(&mut self, now: Instant) {
        let refused = self.refused.filter(|_| self.is_overloaded(now));
        self.forgotten = Some(refused.map_or(now, |at| time::later(at, self.interval)));
    }

    /// The queue is empty, since the last who waited gave up or was refused. That says nothing of
    /// the wait: who comes within an interval finds the queue as it was.
    pub(crate) fn deserted(&mut self, now: Instant) {
        self.forgotten = Some(time::later(now, self.interval));
    }

    pub(crate) fn is_overloaded(&self, now: Instant) -> bool {
        let stands = |low: Instant| now.saturating_duration_since(low) >= self.interval;
        self.low.is_some_and(stands) && self.forgotten.is_none_or(|at| at > now)
    }

    /// When a wait that began at `since` is over, if the queue goes on as it is: after the
    /// interval, or after the target once the queue is overloaded.
    pub(crate) fn until(&self, since: Instant) -> Instant {
        let patient = time::later(since, self.interval);
        match self.low {
            None => patient,
            Some(low) => {
                let overloaded = time::later(low, self.interval);
                patient.min(overloaded.max(time::later(since, self.target)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// With the figures of all three papers: a target of 5 ms, an interval of 100 ms.
    fn published() -> (Codel, Instant) {
        (Codel::new(5 * MS, 100 * MS), time::now())
    }

    #[test]
    fn fail_at_scale_a_queue_that_was_empty_within_100_ms_lets_wait_for_100_ms_else_for_5() {
        let (mut codel, start) = published();
        codel.joined(start);
        assert_eq!(codel.until(start), start + 100 * MS);
        // Empty at 90 ms, so that it has not stood for 100 ms before 190 ms.
        let again = start + 90 * MS;
        codel.drained(again);
        codel.joined(again);
        let allowed = |at: u32| (codel.until(start + at * MS) - (start + at * MS)).as_millis();
        assert!(!codel.is_overloaded(again + 99 * MS));
        assert!(codel.is_overloaded(again + 100 * MS));
        assert_eq!([90, 120, 184, 185, 186, 500].map(allowed), [100, 70, 6, 5, 5, 5]);
    }

    #[test]
    fn rfc_8289_a_burst_that_drains_is_none() {
        // Section 3: waits above the target, then one below it within the interval.
        let (mut codel, start) = published();
        codel.joined(start);
        for at in [20, 40, 60, 80] {
            codel.served(start + at * MS, 10 * MS);
        }
        codel.served(start + 95 * MS, 5 * MS);
        assert!(!codel.is_overloaded(start + 194 * MS));
        assert!(codel.is_overloaded(start + 195 * MS), "an interval after the low wait");
    }

    #[test]
    fn rfc_8289_the_minimum_over_the_interval_counts_and_neither_mean_nor_maximum() {
        let (mut codel, start) = published();
        codel.joined(start);
        for round in 0..1000 {
            let now = start + round * 50 * MS;
            codel.served(now, 90 * MS);
            codel.served(now, 4 * MS);
            assert!(!codel.is_overloaded(now), "one low wait in each interval");
        }
        let last = start + 999 * 50 * MS;
        codel.served(last + 99 * MS, 5 * MS + Duration::from_nanos(1));
        assert!(codel.is_overloaded(last + 100 * MS));
    }

    #[test]
    fn it_ends_when_the_queue_is_empty_and_not_with_a_short_wait() {
        let (mut codel, start) = published();
        codel.joined(start);
        let now = start + 100 * MS;
        codel.served(now, Duration::ZERO);
        assert!(codel.is_overloaded(now), "the newest goes first and waits little");
        codel.drained(now);
        assert!(!codel.is_overloaded(now));
        codel.joined(now);
        assert!(!codel.is_overloaded(now + 99 * MS));
    }

    #[test]
    fn while_somebody_is_refused_in_each_interval_an_empty_queue_does_not_end_it() {
        let (mut codel, start) = published();
        codel.joined(start);
        let mut now = start + 100 * MS;
        for _ in 0..100 {
            codel.refused(now);
            codel.drained(now + 50 * MS);
            now += 99 * MS;
            codel.joined(now);
            assert!(codel.is_overloaded(now));
            assert_eq!(codel.until(now), now + 5 * MS);
        }
        codel.drained(now);
        assert!(!codel.is_overloaded(now + MS), "an interval after the last refusal");
    }

    #[test]
    fn a_refusal_before_the_queue_stood_does_not_outlast_it() {
        let (mut codel, start) = published();
        codel.joined(start);
        codel.refused(start + 50 * MS);
        codel.drained(start + 60 * MS);
        codel.joined(start + 70 * MS);
        assert!(!codel.is_overloaded(start + 169 * MS));
    }

    #[test]
    fn a_queue_whose_last_gave_up_stands_until_nobody_came_for_an_interval() {
        let (mut codel, start) = published();
        codel.joined(start);
        codel.deserted(start + 100 * MS);
        codel.joined(start + 199 * MS);
        assert!(codel.is_overloaded(start + 199 * MS));
        codel.deserted(start + 204 * MS);
        codel.joined(start + 304 * MS);
        assert!(!codel.is_overloaded(start + 304 * MS));
        assert_eq!(codel.until(start + 304 * MS), start + 404 * MS);
    }

    #[test]
    fn the_longest_durations_are_no_error() {
        let mut codel = Codel::new(Duration::MAX, Duration::MAX);
        let start = time::now();
        codel.joined(start);
        codel.served(start, Duration::MAX);
        assert!(!codel.is_overloaded(start));
        assert!(codel.until(start) > start);
    }

    fn ops() -> impl Strategy<Value = model::Op> {
        use model::Op::{GiveUp, Join, Refuse, Serve, Wait};
        prop_oneof![
            3 => (0..130_u64).prop_map(|millis| Wait(Duration::from_millis(millis))),
            1 => (0..6_000_u64).prop_map(|micros| Wait(Duration::from_micros(micros))),
            3 => Just(Join),
            3 => any::<bool>().prop_map(|newest| Serve { newest }),
            1 => Just(Refuse),
            1 => Just(GiveUp),
        ]
    }

    proptest! {
        #[test]
        fn a_queue_is_overloaded_once_it_has_stood_for_an_interval(
            ops in proptest::collection::vec(ops(), 0..300),
        ) {
            model::run(5 * MS, 100 * MS, ops);
        }
    }
}
