//! The response future of [`PropagateDeadline`](super::PropagateDeadline).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::admission::{Call, Permit};
use crate::error::Rejectable;
use crate::rejected::Rejected;
use crate::sync::anchors::Anchor;
use crate::timeout::state::Shared;

pin_project! {
    /// The response future of [`PropagateDeadline`](super::PropagateDeadline): 32 bytes at most on
    /// top of the inner future.
    pub struct PropagateDeadlineFuture<F> {
        #[pin]
        call: Call<F, Anchor<Shared>>,
    }
}

impl<F> PropagateDeadlineFuture<F> {
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { call: Call::refused(rejected) }
    }

    #[inline]
    pub(super) fn running(inner: F, permit: Permit<Anchor<Shared>>) -> Self {
        Self { call: Call::running(inner, permit) }
    }
}

impl<F, T, E> Future for PropagateDeadlineFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().call.poll_settled(cx)
    }
}

impl<F> fmt::Debug for PropagateDeadlineFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PropagateDeadlineFuture")
    }
}
