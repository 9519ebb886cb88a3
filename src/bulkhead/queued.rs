//! The response future of a bulkhead with a queue.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::admission::{Hold, Permit, Place, PollHold, QueuedCall};
use crate::bulkhead::state::{HeldSlot, State};
use crate::classify;
use crate::error::Rejectable;
use crate::rejected::Rejected;
use crate::sync::anchors::Anchor;

pin_project! {
    /// The response future of a [`Bulkhead`](super::Bulkhead) with a queue. While it waits it
    /// holds the request, a clone of the inner service, and a timer if the wait has an end.
    pub struct QueuedFuture<S, F, Req> {
        #[pin]
        call: QueuedCall<S, F, Req, Anchor<State>>,
    }
}

impl<S, F, Req> QueuedFuture<S, F, Req> {
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { call: QueuedCall::refused(rejected) }
    }

    pub(super) fn waiting(place: Place<Anchor<State>>, inner: S, request: Req) -> Self {
        Self { call: QueuedCall::waiting(place, inner, request) }
    }

    pub(super) fn running(inner: F, permit: Permit<Anchor<State>>) -> Self {
        Self { call: QueuedCall::running(inner, permit) }
    }
}

impl<S, Req> Future for QueuedFuture<S, S::Future, Req>
where
    S: Service<Req>,
    S::Error: Rejectable,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().call.poll_with(cx, |outcome, permit| {
            if let Some(permit) = permit {
                permit.settle(classify::of_outcome(&outcome));
            }
            outcome
        })
    }
}

impl<S, Req> Hold<S::Response, S::Error> for QueuedFuture<S, S::Future, Req>
where
    S: Service<Req>,
    S::Error: Rejectable,
{
    type Permit = HeldSlot;

    fn poll_hold(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> PollHold<S::Response, S::Error, HeldSlot> {
        self.project().call.poll_with(cx, |outcome, permit| {
            (outcome, permit.map(|permit| HeldSlot(permit.take())))
        })
    }
}

impl<S, F, Req> fmt::Debug for QueuedFuture<S, F, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bulkhead::QueuedFuture")
    }
}
