//! The response future of a circuit breaker.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::admission::{Call, Hold, Permit, PollHold};
use crate::circuit_breaker::shared::{HeldCall, Shared};
use crate::classify::Classify;
use crate::error::Rejectable;
use crate::rejected::Rejected;
use crate::sync::anchors::Anchor;

pin_project! {
    /// The response future of a [`CircuitBreaker`](super::CircuitBreaker): 40 bytes at most on top
    /// of the inner future.
    pub struct ResponseFuture<F, C> {
        #[pin]
        call: Call<F, Anchor<Shared<C>>>,
    }
}

impl<F, C> ResponseFuture<F, C> {
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { call: Call::refused(rejected) }
    }

    pub(super) fn running(inner: F, permit: Permit<Anchor<Shared<C>>>) -> Self {
        Self { call: Call::running(inner, permit) }
    }
}

impl<F, C, T, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
    C: Classify<T, E>,
{
    type Output = Result<T, E>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (outcome, permit) = ready!(self.project().call.poll_outcome(cx));
        if let Some(permit) = permit {
            permit.settle_with(|shared| shared.classifier.classify(outcome.as_ref()));
        }
        Poll::Ready(outcome)
    }
}

impl<F, C, T, E> Hold<T, E> for ResponseFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
    C: Classify<T, E>,
{
    type Permit = HeldCall<C>;

    fn poll_hold(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollHold<T, E, Self::Permit> {
        let (outcome, permit) = ready!(self.project().call.poll_outcome(cx));
        Poll::Ready((outcome, permit.map(|permit| HeldCall(permit.take()))))
    }
}

impl<F, C> fmt::Debug for ResponseFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("circuit_breaker::ResponseFuture")
    }
}
