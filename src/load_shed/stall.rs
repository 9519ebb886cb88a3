//! [`Stall`]: how long the inner service has not been ready.

use std::time::Duration;

use crate::time::{self, Instant};

/// The clock of fail-fast. Pure: told what is seen of the inner service, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stall {
    after: Duration,
    /// When the inner service was first seen pending; none once it was seen ready.
    since: Option<Instant>,
    /// When the last who waited for it gave up.
    deserted: Option<Instant>,
    /// Somebody drives readiness on while everybody is refused.
    driven: bool,
}

impl Stall {
    pub(super) fn new(after: Duration) -> Self {
        Self { after, since: None, deserted: None, driven: false }
    }

    /// Whether anything would change if the inner service were seen ready.
    pub(super) fn is_pending(&self) -> bool {
        self.since.is_some()
    }

    /// Somebody found the inner service pending.
    ///
    /// What nobody has looked at for as long as `after` is not taken to have been pending all
    /// the time, unless it is being driven.
    pub(super) fn pending(&mut self, now: Instant) {
        let forgotten = |at: Instant| now.saturating_duration_since(at) >= self.after;
        if self.deserted.take().is_some_and(forgotten) && !self.driven {
            self.since = None;
        }
        self.since.get_or_insert(now);
    }

    /// Somebody found the inner service ready, or that it failed. For those who still wait it is
    /// pending anew.
    pub(super) fn ready(&mut self, now: Instant, somebody_waits: bool) {
        (self.since, self.deserted) = (somebody_waits.then_some(now), None);
    }

    /// Nobody waits for the inner service any more.
    pub(super) fn deserted(&mut self, now: Instant) {
        self.deserted = Some(now);
    }

    /// When everybody is refused, if the inner service stays pending.
    pub(super) fn fails_at(&self) -> Option<Instant> {
        self.since.map(|since| self.would_fail_at(since))
    }

    /// The same for an inner service that was first seen pending at `since`.
    pub(super) fn would_fail_at(&self, since: Instant) -> Instant {
        time::later(since, self.after)
    }

    pub(super) fn is_failing(&self, now: Instant) -> bool {
        self.fails_at().is_some_and(|at| at <= now)
    }

    /// Whether whoever asks has to see to it that readiness is driven on: the first to ask.
    pub(super) fn take_duty(&mut self, now: Instant) -> bool {
        self.is_failing(now) && !std::mem::replace(&mut self.driven, true)
    }

    /// Nobody drives readiness any more.
    pub(super) fn duty_ended(&mut self) {
        self.driven = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_stretch_begins_with_the_first_pending_and_ends_with_ready() {
        let (mut stall, start) = (Stall::new(10 * MS), time::now());
        stall.pending(start);
        stall.pending(start + 4 * MS);
        assert!(!stall.is_failing(start + 9 * MS) && stall.is_failing(start + 10 * MS));
        stall.ready(start + 10 * MS, false);
        assert!(!stall.is_failing(start + 10 * MS) && !stall.is_pending());
        stall.pending(start + 11 * MS);
        assert_eq!(stall.fails_at(), Some(start + 21 * MS));
        stall.ready(start + 20 * MS, true);
        assert_eq!(stall.fails_at(), Some(start + 30 * MS), "for those who wait on");
    }

    #[test]
    fn a_stretch_that_nobody_watched_is_forgotten_unless_it_is_driven() {
        let (mut stall, start) = (Stall::new(10 * MS), time::now());
        stall.pending(start);
        stall.deserted(start + MS);
        stall.pending(start + 10 * MS);
        assert!(stall.is_failing(start + 10 * MS), "looked at within the time");
        stall.deserted(start + 10 * MS);
        stall.pending(start + 20 * MS);
        assert!(!stall.is_failing(start + 20 * MS));
        assert!(stall.take_duty(start + 30 * MS));
        stall.deserted(start + 30 * MS);
        stall.pending(start + 90 * MS);
        assert!(stall.is_failing(start + 90 * MS));
    }

    #[test]
    fn the_duty_is_given_once_and_again_when_it_has_ended() {
        let (mut stall, start) = (Stall::new(MS), time::now());
        assert!(!stall.take_duty(start), "nothing is pending");
        stall.pending(start);
        assert!(!stall.take_duty(start), "not long enough");
        assert!(stall.take_duty(start + MS));
        assert!(!stall.take_duty(start + MS));
        stall.duty_ended();
        assert!(stall.take_duty(start + MS));
    }
}
