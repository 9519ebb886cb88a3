//! The response future of a bulkhead that refuses.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::admission::{Hold, Permit};
use crate::bulkhead::state::{HeldSlot, State};
use crate::classify;
use crate::error::Rejectable;
use crate::rejected::Rejected;

pin_project! {
    /// The response future of a [`Bulkhead`](super::Bulkhead) without a queue: 40 bytes at most
    /// on top of the inner future.
    pub struct ResponseFuture<F> {
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = Projected]
    enum Stage<F> {
        Refused { rejected: Option<Rejected> },
        Running { #[pin] inner: F, permit: Permit<State> },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { stage: Stage::Refused { rejected: Some(rejected) } }
    }

    pub(super) fn running(inner: F, permit: Permit<State>) -> Self {
        Self { stage: Stage::Running { inner, permit } }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().stage.project() {
            Projected::Running { inner, permit } => {
                let outcome = ready!(inner.poll(cx));
                permit.settle(classify::of_outcome(&outcome));
                Poll::Ready(outcome)
            }
            Projected::Refused { rejected } => Poll::Ready(Err(E::from(taken(rejected)))),
        }
    }
}

impl<F, T, E> Hold<T, E> for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
{
    type Permit = HeldSlot;

    fn poll_hold(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<(Result<T, E>, Option<HeldSlot>)> {
        match self.project().stage.project() {
            Projected::Running { inner, permit } => {
                let outcome = ready!(inner.poll(cx));
                Poll::Ready((outcome, Some(HeldSlot(permit.take()))))
            }
            Projected::Refused { rejected } => Poll::Ready((Err(E::from(taken(rejected))), None)),
        }
    }
}

/// The refusal, which is there until the future has answered.
pub(super) fn taken(rejected: &mut Option<Rejected>) -> Rejected {
    rejected.take().expect("a response future is not polled after it was ready")
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bulkhead::ResponseFuture")
    }
}
