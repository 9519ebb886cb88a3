//! The response future of an adaptive limit with a queue.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::adaptive_limit::held::settle;
use crate::adaptive_limit::limit::Shared;
use crate::adaptive_limit::{Algorithm, HeldCall};
use crate::admission::{Hold, Permit, Place, PollHold, QueuedCall};
use crate::classify::Classify;
use crate::error::Rejectable;
use crate::rejected::Rejected;
use crate::sync::anchors::Anchor;

pin_project! {
    /// The response future of an [`AdaptiveLimit`](super::AdaptiveLimit) with a queue. While it
    /// waits it holds the request, a clone of the inner service, and a timer if the wait has an
    /// end.
    pub struct QueuedFuture<S, F, Req, A, C>
    where
        A: Algorithm,
    {
        #[pin]
        call: QueuedCall<S, F, Req, Anchor<Shared<A, C>>>,
    }
}

impl<S, F, Req, A: Algorithm, C> QueuedFuture<S, F, Req, A, C> {
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { call: QueuedCall::refused(rejected) }
    }

    pub(super) fn waiting(place: Place<Anchor<Shared<A, C>>>, inner: S, request: Req) -> Self {
        Self { call: QueuedCall::waiting(place, inner, request) }
    }

    pub(super) fn running(inner: F, permit: Permit<Anchor<Shared<A, C>>>) -> Self {
        Self { call: QueuedCall::running(inner, permit) }
    }
}

impl<S, Req, A, C> Future for QueuedFuture<S, S::Future, Req, A, C>
where
    S: Service<Req>,
    S::Error: Rejectable,
    A: Algorithm,
    C: Classify<S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().call.poll_with(cx, |outcome, permit| {
            if let Some(permit) = permit {
                settle(permit, &outcome);
            }
            outcome
        })
    }
}

impl<S, Req, A, C> Hold<S::Response, S::Error> for QueuedFuture<S, S::Future, Req, A, C>
where
    S: Service<Req>,
    S::Error: Rejectable,
    A: Algorithm,
    C: Classify<S::Response, S::Error>,
{
    type Permit = HeldCall<A, C>;

    fn poll_hold(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> PollHold<S::Response, S::Error, Self::Permit> {
        self.project().call.poll_with(cx, |outcome, permit| {
            let held = permit.map(|permit| HeldCall::take(permit, &outcome));
            (outcome, held)
        })
    }
}

impl<S, F, Req, A: Algorithm, C> fmt::Debug for QueuedFuture<S, F, Req, A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("adaptive_limit::QueuedFuture")
    }
}
