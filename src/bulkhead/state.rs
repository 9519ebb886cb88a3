//! What all services of one bulkhead share, and its permits.

use crate::admission::{Admitter, Limited, Limiter, Permit, Settle};
use crate::classify::{Class, DefaultClassifier};
use crate::observe::{EventKind, Stage};
use crate::pinned::Pinned;
use crate::sync::anchors::Anchor;
use crate::time::{self, Instant};

#[derive(Debug)]
pub(super) struct State {
    limiter: Limiter,
}

impl State {
    pub(super) fn new(limiter: Limiter) -> Self {
        Self { limiter }
    }

    pub(super) fn resize(&self, limit: usize) {
        let from = self.limiter.slots.resize(limit);
        if from != limit {
            self.limiter.emitter.emit(Stage::Arriving, EventKind::LimitChanged { from, to: limit });
        }
    }
}

/// What a permit must give back, and since when it has been held, where anybody wants to know.
#[derive(Debug)]
pub(super) struct Ticket {
    partition: usize,
    since: Option<Instant>,
}

impl Limited for State {
    #[inline(always)]
    fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    #[inline(always)]
    fn ticket(&self, partition: usize) -> Ticket {
        Ticket { partition, since: self.limiter.emitter.is_on().then(time::now) }
    }

    fn give_back(&self, ticket: Ticket) {
        self.limiter.slots.release(ticket.partition);
    }
}

/// A slot may be held for longer than a call is in flight: by a body that is still sent.
impl Pinned for State {
    fn is_pinned(&self) -> bool {
        self.limiter.slots.in_flight() > 0
    }
}

impl Admitter for State {
    type Ticket = Ticket;

    #[inline(always)]
    fn settle(&self, ticket: Ticket, class: Class) {
        self.limiter.slots.release(ticket.partition);
        if let Some(since) = ticket.since {
            self.limiter.emitter.settled(since, class);
        }
    }

    fn abandon(&self, ticket: Ticket) {
        self.limiter.slots.release(ticket.partition);
        self.limiter.emitter.emit(Stage::InFlight, EventKind::Abandoned);
    }
}

/// A slot that outlives the response future. Frees it when settled or dropped.
#[derive(Debug)]
pub struct HeldSlot(pub(super) Permit<Anchor<State>>);

impl Settle for HeldSlot {
    type Classifier = DefaultClassifier;

    fn classifier(&self) -> &DefaultClassifier {
        &DefaultClassifier
    }

    fn settle(mut self, class: Class) {
        self.0.settle(class);
    }
}
