//! [`Place`]: a place in the line for a slot.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::admission::limiter::admit;
use crate::admission::{Limited, Permit, Waiter};
use crate::deadline::Deadline;
use crate::observe::{EventKind, Stage};
use crate::rejected::{Reason, Rejected};
use crate::time::{self, Instant};

/// A place in the line. Dropped, it is given up, and so is a slot that was granted to it.
#[derive(Debug)]
pub(crate) struct Place<A: Limited> {
    waiter: Option<Waiter>,
    state: Arc<A>,
    partition: usize,
    since: Instant,
    until: Option<(Instant, Reason)>,
    deadline: Option<Deadline>,
}

impl<A: Limited> Place<A> {
    pub(super) fn new(
        waiter: Waiter,
        state: Arc<A>,
        partition: usize,
        since: Instant,
        until: Option<(Instant, Reason)>,
        deadline: Option<Deadline>,
    ) -> Self {
        Self { waiter: Some(waiter), state, partition, since, until, deadline }
    }

    /// When the wait is over, if ever.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until.map(|(at, _)| at)
    }

    /// The permit, once the slot has been granted; until then `waker` waits for it.
    pub(crate) fn poll_granted(&mut self, waker: &Waker) -> Option<Permit<A>> {
        let limiter = self.state.limiter();
        let granted = self.waiter.take_if(|waiter| limiter.slots.poll(waiter, waker))?;
        limiter.slots.collect(granted);
        // Owned by the permit from here on, before any observer runs.
        let waited = if limiter.emitter.is_on() {
            time::now().saturating_duration_since(self.since)
        } else {
            Duration::ZERO
        };
        Some(admit(&self.state, self.partition, Stage::Waiting, waited))
    }

    /// Gives up because the wait is over: the place, or the slot that came out of it but has not
    /// been used.
    pub(crate) fn time_out(&mut self, permit: Option<&mut Permit<A>>) -> Rejected {
        let reason = self.until.map_or(Reason::QueueTimedOut, |(_, reason)| reason);
        let limiter = self.state.limiter();
        if let Some(waiter) = self.waiter.take() {
            limiter.slots.withdraw(waiter);
        }
        match permit.and_then(Permit::release) {
            None => limiter.emitter.refuse(Stage::Waiting, reason),
            Some((state, ticket)) => {
                state.give_back(ticket);
                limiter.emitter.refuse(Stage::InFlight, reason)
            }
        }
    }

    /// Whether the caller's deadline has passed, so that its turn has come too late. It may have
    /// where `max_wait` came first: timers are late at times.
    pub(crate) fn is_late(&self) -> bool {
        #[cfg(mutant = "turn-past-the-deadline")]
        return false;
        self.deadline.is_some_and(Deadline::has_passed)
    }
}

impl<A: Limited> Drop for Place<A> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            let limiter = self.state.limiter();
            limiter.slots.withdraw(waiter);
            limiter.emitter.emit(Stage::Waiting, EventKind::Abandoned);
        }
    }
}
