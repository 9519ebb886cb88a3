//! What all services of one bulkhead share, its permits, and the places in its line.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::admission::{Admitter, Enqueued, Permit, Settle, Slots, Waiter};
use crate::classify::{Class, DefaultClassifier};
use crate::deadline::Deadline;
use crate::observe::{Emitter, EventKind, Stage};
use crate::rejected::{Reason, Rejected};
use crate::time::{self, Instant};

#[derive(Debug)]
pub(super) struct State {
    slots: Slots,
    emitter: Emitter,
    max_wait: Option<Duration>,
    shadow: bool,
}

/// What asking for a slot came to.
pub(super) enum Entry {
    Admitted(Permit<State>),
    Waiting(Place),
    Refused(Rejected),
}

impl State {
    pub(super) fn new(
        slots: Slots,
        emitter: Emitter,
        max_wait: Option<Duration>,
        shadow: bool,
    ) -> Self {
        Self { slots, emitter, max_wait, shadow }
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(super) fn resize(&self, limit: usize) {
        let from = self.slots.resize(limit);
        if from != limit {
            self.emitter.emit(Stage::Arriving, EventKind::LimitChanged { from, to: limit });
        }
    }

    /// A slot, or a refusal.
    #[inline]
    pub(super) fn try_enter(state: &Arc<Self>, partition: usize) -> Result<Permit<Self>, Rejected> {
        if !state.acquire_now(partition) {
            return Err(state.emitter.refuse(Stage::Arriving, Reason::BulkheadFull));
        }
        Ok(Self::admit(state, partition, Stage::Arriving, Duration::ZERO))
    }

    /// A slot, a place in the line, or a refusal. The deadline is looked for only on the slow path.
    pub(super) fn enter_or_wait(
        state: &Arc<Self>,
        partition: usize,
        deadline: impl FnOnce() -> Option<Deadline>,
    ) -> Entry {
        if state.acquire_now(partition) {
            return Entry::Admitted(Self::admit(state, partition, Stage::Arriving, Duration::ZERO));
        }
        let now = time::now();
        let deadline = deadline();
        let until = state.wait_until(now, deadline);
        if until.is_some_and(|(at, _)| at <= now) {
            return Entry::Refused(state.emitter.refuse(Stage::Arriving, Reason::DeadlineExceeded));
        }
        match state.slots.enqueue(partition) {
            Enqueued::Admitted => {
                Entry::Admitted(Self::admit(state, partition, Stage::Arriving, Duration::ZERO))
            }
            Enqueued::Full => {
                Entry::Refused(state.emitter.refuse(Stage::Arriving, Reason::BulkheadFull))
            }
            Enqueued::Waiting(waiter) => {
                // Owned by the place from here on, before any observer runs.
                let waiter = Some(waiter);
                let owner = state.clone();
                let place = Place { waiter, state: owner, partition, since: now, until, deadline };
                state.emitter.emit(Stage::Arriving, EventKind::Queued);
                Entry::Waiting(place)
            }
        }
    }

    /// When a wait that starts now ends, and what that is called.
    fn wait_until(&self, now: Instant, deadline: Option<Deadline>) -> Option<(Instant, Reason)> {
        let own = self.max_wait.map(|wait| (time::later(now, wait), Reason::QueueTimedOut));
        match (own, deadline) {
            #[cfg(mutant = "wait-past-the-deadline")]
            (Some(own), _) => Some(own),
            (Some(own), Some(deadline)) => Some(deadline.or_sooner(own)),
            (own, deadline) => own.or(deadline.map(Deadline::end)),
        }
    }

    /// A slot without a wait. A shadow has one for everybody.
    #[inline]
    fn acquire_now(&self, partition: usize) -> bool {
        let free = self.slots.try_acquire(partition);
        if !free && self.shadow {
            self.enter_in_shadow(partition);
        }
        free || self.shadow
    }

    #[cold]
    fn enter_in_shadow(&self, partition: usize) {
        // Told first: an observer that panics must not find a slot in nobody's hands.
        self.emitter.emit(Stage::Arriving, EventKind::WouldReject(Reason::BulkheadFull));
        self.slots.acquire_beyond(partition);
    }

    #[inline]
    fn admit(state: &Arc<Self>, partition: usize, from: Stage, waited: Duration) -> Permit<Self> {
        let since = state.emitter.is_on().then(time::now);
        let permit = Permit::new(state.clone(), Ticket { partition, since });
        state.emitter.emit(from, EventKind::Admitted { waited });
        permit
    }
}

/// What a permit must give back, and since when it has been held, where anybody wants to know.
#[derive(Debug)]
pub(super) struct Ticket {
    partition: usize,
    since: Option<Instant>,
}

impl Admitter for State {
    type Ticket = Ticket;

    #[inline]
    fn settle(&self, ticket: Ticket, class: Class) {
        self.slots.release(ticket.partition);
        if let Some(since) = ticket.since {
            self.emitter.settled(since, class);
        }
    }

    fn abandon(&self, ticket: Ticket) {
        self.slots.release(ticket.partition);
        self.emitter.emit(Stage::InFlight, EventKind::Abandoned);
    }
}

/// A slot that outlives the response future. Frees it when settled or dropped.
#[derive(Debug)]
pub struct HeldSlot(pub(super) Permit<State>);

impl Settle for HeldSlot {
    type Classifier = DefaultClassifier;

    fn classifier(&self) -> &DefaultClassifier {
        &DefaultClassifier
    }

    fn settle(mut self, class: Class) {
        self.0.settle(class);
    }
}

/// A place in the line. Dropped, it is given up, and so is a slot that was granted to it.
#[derive(Debug)]
pub(super) struct Place {
    waiter: Option<Waiter>,
    state: Arc<State>,
    partition: usize,
    since: Instant,
    until: Option<(Instant, Reason)>,
    deadline: Option<Deadline>,
}

impl Place {
    /// When the wait is over, if ever.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until.map(|(at, _)| at)
    }

    /// The permit, once the slot has been granted; until then `waker` waits for it.
    pub(super) fn poll_granted(&mut self, waker: &Waker) -> Option<Permit<State>> {
        let state = &self.state;
        let granted = self.waiter.take_if(|waiter| state.slots.poll(waiter, waker))?;
        state.slots.collect(granted);
        // Owned by the permit from here on, before any observer runs.
        let waited = if state.emitter.is_on() {
            time::now().saturating_duration_since(self.since)
        } else {
            Duration::ZERO
        };
        Some(State::admit(state, self.partition, Stage::Waiting, waited))
    }

    /// Gives up because the wait is over: the place, or the slot that came out of it but has not
    /// been used.
    pub(super) fn time_out(&mut self, permit: Option<&mut Permit<State>>) -> Rejected {
        let reason = self.until.map_or(Reason::QueueTimedOut, |(_, reason)| reason);
        if let Some(waiter) = self.waiter.take() {
            self.state.slots.withdraw(waiter);
        }
        match permit.and_then(Permit::release) {
            None => self.state.emitter.refuse(Stage::Waiting, reason),
            Some((state, ticket)) => {
                state.slots.release(ticket.partition);
                state.emitter.refuse(Stage::InFlight, reason)
            }
        }
    }

    /// Whether the caller's deadline has passed, so that its turn has come too late. It may have
    /// where `max_wait` came first: timers are late at times.
    pub(super) fn is_late(&self) -> bool {
        #[cfg(mutant = "turn-past-the-deadline")]
        return false;
        self.deadline.is_some_and(Deadline::has_passed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            self.state.slots.withdraw(waiter);
            self.state.emitter.emit(Stage::Waiting, EventKind::Abandoned);
        }
    }
}
