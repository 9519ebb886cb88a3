//! The response future of a load shed layer in which nothing waits.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::admission::{Call, Permit};
use crate::error::Rejectable;
use crate::load_shed::state::State;
use crate::rejected::Rejected;

pin_project! {
    /// The response future of a [`LoadShed`](super::LoadShed) in which nothing waits: 40 bytes at
    /// most on top of the inner future.
    pub struct ResponseFuture<F> {
        #[pin]
        call: Call<F, State>,
    }
}

impl<F> ResponseFuture<F> {
    #[inline(always)]
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { call: Call::refused(rejected) }
    }

    #[inline(always)]
    pub(super) fn running(inner: F, permit: Permit<State>) -> Self {
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
        f.write_str("load_shed::ResponseFuture")
    }
}
