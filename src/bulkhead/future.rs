//! The response future of a bulkhead that refuses.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::admission::{Call, Hold, Permit, PollHold};
use crate::bulkhead::state::{HeldSlot, State};
use crate::error::Rejectable;
use crate::rejected::Rejected;
use crate::sync::anchors::Anchor;

pin_project! {
    /// The response future of a [`Bulkhead`](super::Bulkhead) without a queue: 32 bytes at most
    /// on top of the inner future.
    pub struct ResponseFuture<F> {
        #[pin]
        call: Call<F, Anchor<State>>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { call: Call::refused(rejected) }
    }

    pub(super) fn running(inner: F, permit: Permit<Anchor<State>>) -> Self {
        Self { call: Call::running(inner, permit) }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
{
    type Output = Result<T, E>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().call.poll_settled(cx)
    }
}

impl<F, T, E> Hold<T, E> for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
{
    type Permit = HeldSlot;

    fn poll_hold(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollHold<T, E, Self::Permit> {
        let (outcome, permit) = ready!(self.project().call.poll_outcome(cx));
        Poll::Ready((outcome, permit.map(|permit| HeldSlot(permit.take()))))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bulkhead::ResponseFuture")
    }
}
