//! [`Shared`]: what all services of one circuit breaker share, and its permits.

use std::fmt;
use std::sync::Arc;

use crate::admission::{Admitter, Permit, Settle};
use crate::circuit_breaker::circuit::{CallTicket, Circuit};
use crate::classify::Class;
use crate::sync::anchors::Anchor;

/// The circuit, and the classifier that its services judge with.
#[derive(Debug)]
pub(super) struct Shared<C> {
    // Behind a pointer of its own, so that a `Handle` needs neither `C` nor a vtable.
    pub(super) circuit: Arc<Circuit>,
    pub(super) classifier: C,
}

impl<C> Admitter for Shared<C> {
    type Ticket = CallTicket;

    #[inline(always)]
    fn settle(&self, ticket: CallTicket, class: Class) {
        self.circuit.settle(ticket, class);
    }

    fn abandon(&self, ticket: CallTicket) {
        self.circuit.abandon(ticket);
    }
}

/// A call whose verdict is still open after the response future is ready. Dropped unsettled, it is
/// an abandoned call.
pub struct HeldCall<C>(pub(super) Permit<Anchor<Shared<C>>>);

impl<C> Settle for HeldCall<C> {
    type Classifier = C;

    fn classifier(&self) -> &C {
        let shared = self.0.admitter().expect("held until it is settled, which consumes it");
        &shared.classifier
    }

    fn settle(mut self, class: Class) {
        self.0.settle(class);
    }
}

impl<C> fmt::Debug for HeldCall<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldCall")
    }
}
