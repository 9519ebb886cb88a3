//! The response future of a throttle.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::admission::{Call, Hold, PollHold};
use crate::classify::Classify;
use crate::error::Rejectable;
use crate::load_shed::throttle::shared::{Shared, ThrottlePermit, ThrottledCall};
use crate::rejected::{Reason, Rejected};
use crate::sync::anchors::Anchor;

pin_project! {
    /// The response future of a [`Throttle`](super::Throttle): 40 bytes at most on top of the inner
    /// future.
    pub struct ThrottleFuture<F, C> {
        #[pin]
        call: Call<F, Anchor<Shared<C>>>,
    }
}

impl<F, C> ThrottleFuture<F, C> {
    #[inline(always)]
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { call: Call::refused(rejected) }
    }

    #[inline(always)]
    pub(super) fn running(inner: F, permit: ThrottlePermit<C>) -> Self {
        Self { call: Call::running(inner, permit) }
    }
}

/// Notes a timeout, which no class tells from other transient failures.
#[inline(always)]
fn note<T, E: Rejectable, C>(outcome: &Result<T, E>, permit: &mut ThrottlePermit<C>) {
    let Err(error) = outcome else { return };
    if error.rejected().is_some_and(|rejected| rejected.reason() == Reason::TimedOut)
        && let Some((_, ticket)) = permit.held_mut()
    {
        ticket.timed_out = true;
    }
}

impl<F, C, T, E> Future for ThrottleFuture<F, C>
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
            note(&outcome, permit);
            permit.settle_with(|shared| shared.classifier.classify(outcome.as_ref()));
        }
        Poll::Ready(outcome)
    }
}

impl<F, C, T, E> Hold<T, E> for ThrottleFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
    C: Classify<T, E>,
{
    type Permit = ThrottledCall<C>;

    fn poll_hold(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollHold<T, E, Self::Permit> {
        let (outcome, permit) = ready!(self.project().call.poll_outcome(cx));
        let held = permit.map(|permit| {
            note(&outcome, permit);
            ThrottledCall(permit.take())
        });
        Poll::Ready((outcome, held))
    }
}

impl<F, C> fmt::Debug for ThrottleFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("load_shed::ThrottleFuture")
    }
}
