//! [`Limiter`]: slots, who is told of what happens to them, and how a call gets one.

use std::sync::Arc;
use std::time::Duration;

use crate::admission::{Admitter, Enqueued, Permit, Place, Slots};
use crate::deadline::Deadline;
use crate::observe::{Emitter, EventKind, Stage};
use crate::rejected::{Reason, Rejected};
use crate::sync::anchors::{Anchor, Anchors};
use crate::time::{self, Instant};

/// The slots of a layer that limits concurrency, and its rules for those who find none free.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub(crate) slots: Slots,
    pub(crate) emitter: Emitter,
    pub(crate) max_wait: Option<Duration>,
    pub(crate) shadow: bool,
    /// What a refusal for want of a slot is called.
    pub(crate) full: Reason,
}

/// A layer's shared state that lets calls in by a [`Limiter`].
pub(crate) trait Limited: Admitter + Sized {
    fn limiter(&self) -> &Limiter;

    /// What a call that has its slot takes along. Runs nothing of the user's: until it returns,
    /// the slot is in nobody's hands.
    fn ticket(&self, partition: usize) -> Self::Ticket;

    /// The call begins: it has its permit, and its admission has been told.
    fn begin(&self, ticket: &mut Self::Ticket) {
        let _ = ticket;
    }

    /// Ends a call that had its slot and was never made. Tells nobody.
    fn give_back(&self, ticket: Self::Ticket);

    /// A call finds no slot: it is refused, or has to wait.
    fn on_full(&self) {}
}

/// The state, through the anchor of a thread.
impl<A: Limited> Limited for Anchor<A> {
    #[inline(always)]
    fn limiter(&self) -> &Limiter {
        (**self).limiter()
    }

    #[inline(always)]
    fn ticket(&self, partition: usize) -> A::Ticket {
        (**self).ticket(partition)
    }

    #[inline(always)]
    fn begin(&self, ticket: &mut A::Ticket) {
        (**self).begin(ticket);
    }

    fn give_back(&self, ticket: A::Ticket) {
        (**self).give_back(ticket);
    }

    fn on_full(&self) {
        (**self).on_full();
    }
}

/// What asking for a slot came to.
pub(crate) enum Entry<A: Limited> {
    Admitted(Permit<A>),
    Waiting(Place<A>),
    Refused(Rejected),
}

/// A slot, or a refusal.
#[inline(always)]
pub(crate) fn try_enter<A: Limited>(
    state: &Anchors<A>,
    partition: usize,
) -> Result<Permit<Anchor<A>>, Rejected> {
    if !acquire_now(&**state, partition) {
        return Err(refuse_full(&**state));
    }
    Ok(admit(state.mine(), partition, Stage::Arriving, Duration::ZERO))
}

/// A slot, a place in the line, or a refusal. The deadline is looked for only on the slow path.
pub(crate) fn enter_or_wait<A: Limited>(
    state: &Arc<A>,
    partition: usize,
    deadline: impl FnOnce() -> Option<Deadline>,
) -> Entry<A> {
    if acquire_now(&**state, partition) {
        return Entry::Admitted(admit(state, partition, Stage::Arriving, Duration::ZERO));
    }
    let limiter = state.limiter();
    let now = time::now();
    let deadline = deadline();
    let until = limiter.wait_until(now, deadline);
    if until.is_some_and(|(at, _)| at <= now) {
        state.on_full();
        return Entry::Refused(limiter.emitter.refuse(Stage::Arriving, Reason::DeadlineExceeded));
    }
    match limiter.slots.enqueue(partition) {
        Enqueued::Admitted => {
            Entry::Admitted(admit(state, partition, Stage::Arriving, Duration::ZERO))
        }
        Enqueued::Full => Entry::Refused(refuse_full(&**state)),
        Enqueued::Waiting(waiter) => {
            // Owned by the place from here on, before any observer runs.
            let place = Place::new(waiter, state.clone(), partition, now, until, deadline);
            state.on_full();
            limiter.emitter.emit(Stage::Arriving, EventKind::Queued);
            Entry::Waiting(place)
        }
    }
}

impl Limiter {
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
}

/// A slot without a wait. A shadow has one for everybody.
#[inline(always)]
fn acquire_now<A: Limited>(state: &A, partition: usize) -> bool {
    let limiter = state.limiter();
    let free = limiter.slots.try_acquire(partition);
    if !free && limiter.shadow {
        enter_in_shadow(state, partition);
    }
    free || limiter.shadow
}

#[cold]
fn enter_in_shadow<A: Limited>(state: &A, partition: usize) {
    let limiter = state.limiter();
    state.on_full();
    // Told first: an observer that panics must not find a slot in nobody's hands.
    limiter.emitter.emit(Stage::Arriving, EventKind::WouldReject(limiter.full));
    limiter.slots.acquire_beyond(partition);
}

#[cold]
fn refuse_full<A: Limited>(state: &A) -> Rejected {
    state.on_full();
    let limiter = state.limiter();
    limiter.emitter.refuse(Stage::Arriving, limiter.full)
}

#[inline(always)]
pub(super) fn admit<A: Limited>(
    state: &Arc<A>,
    partition: usize,
    from: Stage,
    waited: Duration,
) -> Permit<A> {
    let mut permit = Permit::new(state.clone(), state.ticket(partition));
    state.limiter().emitter.emit(from, EventKind::Admitted { waited });
    if let Some((state, ticket)) = permit.held_mut() {
        state.begin(ticket);
    }
    permit
}
