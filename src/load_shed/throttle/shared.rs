//! What all services of one throttle share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::admission::{Admitter, Permit, Settle};
use crate::classify::Class;
use crate::load_shed::throttle::state::{Machine, Slice};
use crate::observe::{Emitter, EventKind, Stage};
use crate::rejected::{Reason, Rejected};
use crate::rng::Rng;
use crate::sync::anchors::{Anchor, Anchors};
use crate::time::{self, Instant};

/// The machine, and whom it tells.
pub(super) struct Control {
    pub(super) machine: Machine,
    emitter: Emitter,
    shadow: bool,
}

impl Control {
    pub(super) fn new(machine: Machine, emitter: Emitter, shadow: bool) -> Self {
        Self { machine, emitter, shadow }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("emitter", &self.emitter)
            .field("probability", &self.machine.probability(time::now()))
            .finish_non_exhaustive()
    }
}

/// The control, and the classifier that its services judge with.
#[derive(Debug)]
pub(super) struct Shared<C> {
    // Behind a pointer of its own, so that a handle needs neither `C` nor a vtable.
    pub(super) control: Arc<Control>,
    pub(super) classifier: C,
}

impl<C> Shared<C> {
    /// Lets a call through, or refuses it, and tells the observers.
    #[inline(always)]
    pub(super) fn admit(
        shared: &Anchors<Self>,
        seen: &mut Slice,
    ) -> Result<ThrottlePermit<C>, Rejected> {
        let Control { machine, emitter, shadow } = &*shared.control;
        // One clock read for each call: the date of the request, and its start for the observers.
        let now = time::now();
        let arrival = machine.arrive(seen, now, Rng::fraction);
        if arrival.refused {
            if !shadow {
                return Err(emitter.refuse(Stage::Arriving, Reason::Overloaded));
            }
            emitter.emit(Stage::Arriving, EventKind::WouldReject(Reason::Overloaded));
        }
        let ticket = Ticket {
            since: emitter.is_on().then_some(now),
            slice: arrival.slice,
            // What would have been refused has been counted as that.
            is_open: !arrival.refused,
            timed_out: false,
        };
        let permit = Permit::new(shared.mine().clone(), ticket);
        emitter.emit(Stage::Arriving, EventKind::Admitted { waited: Duration::ZERO });
        Ok(permit)
    }
}

/// A call owns the state through the anchor of its thread.
pub(super) type ThrottlePermit<C> = Permit<Anchor<Shared<C>>>;

/// A call on its way.
#[derive(Debug)]
pub(super) struct Ticket {
    /// Since when it runs, where anybody wants to know.
    since: Option<Instant>,
    /// Where to count it, should it not have been accepted.
    slice: u64,
    /// Its outcome can still say so.
    is_open: bool,
    /// A layer further in gave up on it.
    pub(super) timed_out: bool,
}

impl<C> Admitter for Shared<C> {
    type Ticket = Ticket;

    #[inline(always)]
    fn settle(&self, ticket: Ticket, class: Class) {
        let accepted = match class {
            Class::Overload { .. } => false,
            Class::Transient => !ticket.timed_out,
            Class::Success | Class::Permanent | Class::Ignore => true,
        };
        if !accepted && ticket.is_open {
            self.control.machine.lower(ticket.slice);
        }
        if let Some(since) = ticket.since {
            self.control.emitter.settled(since, class);
        }
    }

    fn abandon(&self, _: Ticket) {
        self.control.emitter.emit(Stage::InFlight, EventKind::Abandoned);
    }
}

/// A call whose verdict is still open after the response future is ready. Dropped unsettled, it is
/// an abandoned call.
pub struct ThrottledCall<C>(pub(super) ThrottlePermit<C>);

impl<C> Settle for ThrottledCall<C> {
    type Classifier = C;

    fn classifier(&self) -> &C {
        let shared = self.0.admitter().expect("held until it is settled, which consumes it");
        &shared.classifier
    }

    fn settle(mut self, class: Class) {
        self.0.settle(class);
    }
}

impl<C> fmt::Debug for ThrottledCall<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ThrottledCall")
    }
}
