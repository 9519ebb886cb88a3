//! The response future of an adaptive limit that refuses.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::adaptive_limit::held::settle;
use crate::adaptive_limit::limit::Shared;
use crate::adaptive_limit::{Algorithm, HeldCall};
use crate::admission::{Call, Hold, Permit, PollHold};
use crate::classify::Classify;
use crate::error::Rejectable;
use crate::rejected::Rejected;
use crate::sync::anchors::Anchor;

pin_project! {
    /// The response future of an [`AdaptiveLimit`](super::AdaptiveLimit) without a queue: 40 bytes
    /// at most on top of the inner future.
    pub struct ResponseFuture<F, A, C>
    where
        A: Algorithm,
    {
        #[pin]
        call: Call<F, Anchor<Shared<A, C>>>,
    }
}

impl<F, A: Algorithm, C> ResponseFuture<F, A, C> {
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { call: Call::refused(rejected) }
    }

    pub(super) fn running(inner: F, permit: Permit<Anchor<Shared<A, C>>>) -> Self {
        Self { call: Call::running(inner, permit) }
    }
}

impl<F, A, C, T, E> Future for ResponseFuture<F, A, C>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
    A: Algorithm,
    C: Classify<T, E>,
{
    type Output = Result<T, E>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (outcome, permit) = ready!(self.project().call.poll_outcome(cx));
        if let Some(permit) = permit {
            settle(permit, &outcome);
        }
        Poll::Ready(outcome)
    }
}

impl<F, A, C, T, E> Hold<T, E> for ResponseFuture<F, A, C>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
    A: Algorithm,
    C: Classify<T, E>,
{
    type Permit = HeldCall<A, C>;

    fn poll_hold(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollHold<T, E, Self::Permit> {
        let (outcome, permit) = ready!(self.project().call.poll_outcome(cx));
        let held = permit.map(|permit| HeldCall::take(permit, &outcome));
        Poll::Ready((outcome, held))
    }
}

impl<F, A: Algorithm, C> fmt::Debug for ResponseFuture<F, A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("adaptive_limit::ResponseFuture")
    }
}
