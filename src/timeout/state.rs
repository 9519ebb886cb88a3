//! What all services of one timeout layer share, and the bound of one call.

use std::sync::Arc;
use std::time::Duration;

use crate::admission::{Admitter, Permit};
use crate::classify::Class;
use crate::deadline::Deadline;
use crate::observe::{Emitter, EventKind, Stage};
use crate::rejected::{Reason, Rejected};
use crate::time::{self, Instant};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) emitter: Emitter,
    pub(super) limit: Duration,
    pub(super) shadow: bool,
}

impl Shared {
    #[inline]
    pub(super) fn admit(shared: &Arc<Self>) -> Permit<Self> {
        let since = shared.emitter.is_on().then(time::now);
        let permit = Permit::new(shared.clone(), since);
        shared.emitter.emit(Stage::Arriving, EventKind::Admitted { waited: Duration::ZERO });
        permit
    }

    /// A call that never reaches the inner service.
    pub(super) fn refuse(&self, reason: Reason) -> Rejected {
        self.emitter.refuse(Stage::Arriving, reason).dispatched(false)
    }

    /// A call whose time is over while it runs.
    pub(super) fn end(permit: &mut Permit<Self>, reason: Reason) -> Rejected {
        match permit.release() {
            Some((shared, _)) => shared.emitter.refuse(Stage::InFlight, reason).dispatched(true),
            None => Rejected::new(reason).dispatched(true),
        }
    }

    /// As [`refuse`](Self::refuse), in shadow mode.
    pub(super) fn would_refuse(&self, reason: Reason) {
        self.emitter.emit(Stage::Arriving, EventKind::WouldReject(reason));
    }

    /// As [`end`](Self::end), in shadow mode.
    pub(super) fn would_end(&self, reason: Reason) {
        self.emitter.emit(Stage::InFlight, EventKind::WouldReject(reason));
    }
}

impl Admitter for Shared {
    /// Since when the call runs, where anybody wants to know.
    type Ticket = Option<Instant>;

    #[inline]
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
    pub(super) limit: Duration,
    pub(super) deadline: Option<Deadline>,
}

impl Bound {
    /// When a call that starts now is over, and what that is called.
    pub(super) fn from(self, now: Instant) -> (Instant, Reason) {
        let own = (time::later(now, self.limit), Reason::TimedOut);
        self.deadline.map_or(own, |deadline| deadline.or_sooner(own))
    }
}
