//! [`Permit`]: an admitted call, which is settled exactly once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::classify::Class;
use crate::sync::anchors::Anchor;

/// A layer's shared state, as the end of a call sees it.
pub(crate) trait Admitter {
    /// What the layer must know of the call at its end: its generation, slot or start.
    type Ticket;

    /// The call ended, and this is what its outcome says.
    fn settle(&self, ticket: Self::Ticket, class: Class);

    /// The call was cancelled or panicked.
    fn abandon(&self, ticket: Self::Ticket);
}

/// A call may own the state through the anchor of its thread.
impl<A: Admitter> Admitter for Anchor<A> {
    type Ticket = A::Ticket;

    #[inline(always)]
    fn settle(&self, ticket: A::Ticket, class: Class) {
        (**self).settle(ticket, class);
    }

    fn abandon(&self, ticket: A::Ticket) {
        (**self).abandon(ticket);
    }
}

/// An admitted call. Settled once with a [`Class`]; dropped unsettled, it is abandoned.
///
/// The drop is the one home of cancellation: a future that is dropped, a panic that unwinds
/// through it and a body that is never read to its end all come through here.
pub(crate) struct Permit<A: Admitter> {
    // One reference count per admitted call: a permit outlives the service that gave it.
    held: Option<(Arc<A>, A::Ticket)>,
}

impl<A: Admitter> Permit<A> {
    #[inline(always)]
    pub(crate) fn new(admitter: Arc<A>, ticket: A::Ticket) -> Self {
        Self { held: Some((admitter, ticket)) }
    }

    /// For a call whose end nobody wants to know of.
    #[inline(always)]
    pub(crate) fn empty() -> Self {
        Self { held: None }
    }

    /// Judges with the layer's shared state at hand, then settles. Does nothing the second time.
    ///
    /// The permit is let go only after the verdict: where the judge panics, the call is abandoned.
    #[inline(always)]
    pub(crate) fn settle_with(&mut self, judge: impl FnOnce(&A) -> Class) {
        if let Some((admitter, _)) = &self.held {
            let class = judge(admitter);
            self.settle(class);
        }
    }

    /// Settles. Does nothing the second time.
    #[inline(always)]
    pub(crate) fn settle(&mut self, class: Class) {
        if let Some((admitter, ticket)) = self.held.take() {
            admitter.settle(ticket, class);
        }
    }

    /// The permit itself, leaving an empty one behind.
    pub(crate) fn take(&mut self) -> Self {
        Self { held: self.held.take() }
    }

    /// Ends the call in a way of the layer's own: neither settled nor abandoned.
    pub(crate) fn release(&mut self) -> Option<(Arc<A>, A::Ticket)> {
        self.held.take()
    }

    /// The layer's shared state, and what the call takes along, while the permit is held.
    #[inline(always)]
    pub(crate) fn held_mut(&mut self) -> Option<(&A, &mut A::Ticket)> {
        self.held.as_mut().map(|(admitter, ticket)| (&**admitter, ticket))
    }

    pub(crate) fn admitter(&self) -> Option<&A> {
        self.held.as_ref().map(|(admitter, _)| &**admitter)
    }
}

impl<A: Admitter> Drop for Permit<A> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            abandon(held);
        }
    }
}

/// Out of line: most permits are dropped when they have been settled, and then there is nothing.
#[cold]
fn abandon<A: Admitter>((admitter, ticket): (Arc<A>, A::Ticket)) {
    #[cfg(not(mutant = "permit-kept-on-drop"))]
    admitter.abandon(ticket);
}

impl<A: Admitter> fmt::Debug for Permit<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.held.is_some() { "Permit(held)" } else { "Permit(settled)" })
    }
}

/// A response future that can hand its permit on together with the answer.
///
/// The permit then goes where the answer goes: `http::HoldBody` keeps it until the response body
/// has ended. Implemented by the response futures of the layers that hold something for a call.
pub trait Hold<T, E>: Future<Output = Result<T, E>> {
    /// What is held.
    type Permit: Settle;

    /// As [`Future::poll`], but leaves the settling to the caller.
    fn poll_hold(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollHold<T, E, Self::Permit>;
}

/// The outcome, and the permit to settle with it; there is none where the layer answered itself.
pub type PollHold<T, E, P> = Poll<(Result<T, E>, Option<P>)>;

/// A permit in somebody else's hands. Dropped unsettled, it is an abandoned call.
pub trait Settle {
    /// The classifier of the layer that gave it.
    type Classifier;

    /// The classifier of the layer that gave it.
    fn classifier(&self) -> &Self::Classifier;

    /// Ends the call with this verdict.
    fn settle(self, class: Class);
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;

    use super::*;

    /// What became of each call.
    #[derive(Default)]
    struct Ends(Mutex<Vec<(u32, Option<Class>)>>);

    impl Admitter for Ends {
        type Ticket = u32;

        fn settle(&self, ticket: u32, class: Class) {
            self.0.lock().unwrap().push((ticket, Some(class)));
        }

        fn abandon(&self, ticket: u32) {
            self.0.lock().unwrap().push((ticket, None));
        }
    }

    #[test]
    fn a_permit_is_settled_or_abandoned_exactly_once() {
        let ends = Arc::new(Ends::default());
        let permit = |ticket| Permit::new(ends.clone(), ticket);
        drop(permit(1));
        let mut settled = permit(2);
        settled.settle(Class::Success);
        settled.settle(Class::Transient);
        drop(settled);
        let mut panicked = permit(3);
        let judge = AssertUnwindSafe(|| panicked.settle_with(|_| panic!("in the classifier")));
        assert!(catch_unwind(judge).is_err());
        drop(panicked);
        let mut handed_on = permit(4);
        let held = handed_on.take();
        drop(handed_on);
        assert_eq!(ends.0.lock().unwrap().len(), 3, "the fourth goes on");
        drop(held);
        assert!(permit(5).release().is_some());
        assert_eq!(
            *ends.0.lock().unwrap(),
            [(1, None), (2, Some(Class::Success)), (3, None), (4, None)]
        );
    }
}
