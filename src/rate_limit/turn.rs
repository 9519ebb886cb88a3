//! [`Turn`]: a turn that a waiting call was promised.

use std::sync::Arc;

use crate::admission::Permit;
use crate::deadline::Deadline;
use crate::observe::{EventKind, Stage};
use crate::rate_limit::Buckets;
use crate::rate_limit::bucket::Charged;
use crate::rate_limit::state::Shared;
use crate::rejected::{Reason, Rejected};
use crate::time::{self, Instant};

/// A turn in the time to come, paid for already. Dropped unused, it is given back where that can be
/// done: see [`Charged::undone`].
pub(super) struct Turn<K: Buckets> {
    /// Until the call is made.
    unused: Option<Unused<K>>,
    shared: Arc<Shared>,
    since: Instant,
    due: Instant,
    /// The end of the wait, and what that is called.
    until: (Instant, Reason),
    deadline: Option<Deadline>,
    /// It is due, and its admission has been told.
    admitted: bool,
}

struct Unused<K: Buckets> {
    buckets: Arc<K>,
    spot: K::Spot,
    charged: Charged,
}

/// When a wait began, when the turn is due, and when the wait is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) since: Instant,
    pub(super) due: Instant,
    pub(super) until: (Instant, Reason),
    pub(super) deadline: Option<Deadline>,
}

impl<K: Buckets> Turn<K> {
    pub(super) fn new(
        shared: Arc<Shared>,
        buckets: Arc<K>,
        spot: K::Spot,
        charged: Charged,
        wait: Wait,
    ) -> Self {
        let Wait { since, due, until, deadline } = wait;
        let unused = Some(Unused { buckets, spot, charged });
        Self { unused, shared, since, due, until, deadline, admitted: false }
    }

    /// When to look again: at its time, and after that when the wait is over.
    pub(super) fn alarm(&self) -> Instant {
        if self.admitted { self.until.0 } else { self.due }
    }

    /// The turn has come: the call may be made as soon as the inner service is ready.
    pub(super) fn admit(&mut self) -> Permit<Shared> {
        self.admitted = true;
        if !self.shared.emitter.is_on() {
            return Permit::empty();
        }
        let now = time::now();
        let waited = now.saturating_duration_since(self.since);
        Shared::admit(&self.shared, Stage::Waiting, now, waited)
    }

    pub(super) fn is_admitted(&self) -> bool {
        self.admitted
    }

    /// Whether the caller's deadline has passed, so that the turn came too late: timers are late at
    /// times.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(Deadline::has_passed)
    }

    /// The call is made.
    pub(super) fn use_up(&mut self) {
        self.unused = None;
    }

    /// Gives up, after the turn has come, because the wait is over.
    pub(super) fn time_out(&mut self, permit: Option<&mut Permit<Shared>>) -> Rejected {
        let reason = if self.is_late() { Reason::DeadlineExceeded } else { self.until.1 };
        permit.and_then(Permit::release);
        self.give_back();
        self.shared.emitter.refuse(Stage::InFlight, reason)
    }

    fn give_back(&mut self) -> bool {
        let Some(Unused { buckets, spot, charged }) = self.unused.take() else { return false };
        buckets.undo(&spot, charged);
        true
    }
}

impl<K: Buckets> Drop for Turn<K> {
    fn drop(&mut self) {
        // Once admitted, the permit tells of it.
        if self.give_back() && !self.admitted {
            self.shared.emitter.emit(Stage::Waiting, EventKind::Abandoned);
        }
    }
}
