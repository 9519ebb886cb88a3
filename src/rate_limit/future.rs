//! The response future of a rate limit that refuses.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::admission::{Call, Permit};
use crate::error::Rejectable;
use crate::rate_limit::state::Shared;
use crate::rejected::Rejected;

pin_project! {
    /// The response future of a [`RateLimit`](super::RateLimit) that refuses: 48 bytes at most on top
    /// of the inner future.
    pub struct ResponseFuture<F> {
        #[pin]
        call: Call<F, Shared>,
    }
}

impl<F> ResponseFuture<F> {
    #[inline(always)]
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { call: Call::refused(rejected) }
    }

    #[inline(always)]
    pub(super) fn running(inner: F, permit: Permit<Shared>) -> Self {
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

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rate_limit::ResponseFuture")
    }
}
