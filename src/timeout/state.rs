//! What all services of one timeout layer share, and the bound of one call.

use std::time::Duration;

use crate::admission::{Admitter, Permit};
use crate::classify::Class;
use crate::deadline::Deadline;
use crate::observe::{Emitter, EventKind, Stage};
use crate::rejected::{Reason, Rejected};
use crate::sync::anchors::{Anchor, Anchors};
use crate::time::{self, Instant};

/// Of the response bodies in `http`, too.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) emitter: Emitter,
    pub(crate) shadow: bool,
}

impl Shared {
    /// `now` where somebody has read the clock already.
    #[inline(always)]
    pub(crate) fn admit(shared: &Anchors<Self>, now: Option<Instant>) -> Permit<Anchor<Self>> {
        let since = shared.emitter.is_on().then(|| now.unwrap_or_else(time::now));
        let permit = Permit::new(shared.mine().clone(), since);
        shared.emitter.emit(Stage::Arriving, EventKind::Admitted { waited: Duration::ZERO });
        permit
    }

    /// A call that never reaches the inner service.
    pub(super) fn refuse(&self, reason: Reason) -> Rejected {
        self.emitter.refuse(Stage::Arriving, reason).dispatched(false)
    }

    /// A call whose time is over while it runs.
    pub(crate) fn end(permit: &mut Permit<Anchor<Self>>, reason: Reason) -> Rejected {
        match permit.release() {
            #[cfg(mutant = "dispatched-denied")]
            Some((shared, _)) => shared.emitter.refuse(Stage::InFlight, reason).dispatched(false),
            Some((shared, _)) => shared.emitter.refuse(Stage::InFlight, reason).dispatched(true),
            None => Rejected::new(reason).dispatched(true),
        }
    }

    /// As [`refuse`](Self::refuse), unless it is in shadow mode: then it is only told.
    #[cold]
    pub(super) fn refuse_or_report(&self, reason: Reason) -> Result<(), Rejected> {
        if !self.shadow {
            return Err(self.refuse(reason));
        }
        self.would_refuse(reason);
        Ok(())
    }

    /// As [`refuse`](Self::refuse), in shadow mode.
    pub(super) fn would_refuse(&self, reason: Reason) {
        self.emitter.emit(Stage::Arriving, EventKind::WouldReject(reason));
    }

    /// As [`end`](Self::end), in shadow mode.
    pub(crate) fn would_end(&self, reason: Reason) {
        self.emitter.emit(Stage::InFlight, EventKind::WouldReject(reason));
    }
}

impl Admitter for Shared {
    /// Since when the call runs, where anybody wants to know.
    type Ticket = Option<Instant>;

    #[inline(always)]
    fn settle(&self, since: Option<Instant>, class: Class) {
        if let Some(since) = since {
            self.emitter.settled(since, class);
        }
    }

    fn abandon(&self, _: Option<Instant>) {
        self.emitter.emit(Stage::InFlight, EventKind::Abandoned);
    }
}

/// How long a call may take, from a moment that is not known yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// [`Duration::MAX`] is none.
    pub(super) limit: Duration,
    pub(super) deadline: Option<Deadline>,
}

impl Bound {
    /// No limit but the deadline, where there is one.
    pub(super) fn by(deadline: Option<Deadline>) -> Self {
        Self { limit: Duration::MAX, deadline }
    }

    /// When a call that starts now is over, and what that is called. The clock is read only for a
    /// limit, which counts from now.
    pub(super) fn end(self, now: impl FnOnce() -> Instant) -> Option<(Instant, Reason)> {
        if self.limit == Duration::MAX {
            return self.deadline.map(Deadline::end);
        }
        let own = (time::later(now(), self.limit), Reason::TimedOut);
        #[cfg(mutant = "timeout-1-ms-early")]
        let own = (own.0 - Duration::from_millis(1), own.1);
        Some(self.deadline.map_or(own, |deadline| deadline.or_sooner(own)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Identity;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_end_is_the_limit_or_the_deadline_whichever_comes_first() {
        let now = time::now();
        let at = |wait| Some(Deadline::at(now + wait));
        let end = |limit, deadline| {
            Bound { limit, deadline }.end(|| now).map(|(at, reason)| (at - now, reason))
        };
        assert_eq!(end(5 * MS, None), Some((5 * MS, Reason::TimedOut)));
        assert_eq!(end(5 * MS, at(5 * MS)), Some((5 * MS, Reason::TimedOut)));
        assert_eq!(end(5 * MS, at(4 * MS)), Some((4 * MS, Reason::DeadlineExceeded)));
        assert_eq!(end(Duration::MAX, at(4 * MS)), Some((4 * MS, Reason::DeadlineExceeded)));
        assert_eq!(end(Duration::MAX, None), None);
    }

    #[test]
    fn a_call_that_ran_may_have_been_seen_and_one_that_did_not_was_not() {
        let emitter = Identity::default().emitter("timeout", None);
        let shared = Anchors::new(Shared { emitter, shadow: false });
        assert!(!shared.refuse(Reason::TimedOut).was_dispatched());
        let mut permit = Shared::admit(&shared, None);
        for reason in [Reason::DeadlineExceeded, Reason::TimedOut] {
            assert!(Shared::end(&mut permit, reason).was_dispatched(), "{reason}");
        }
    }
}
