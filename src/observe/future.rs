//! The response future of [`Observed`](super::Observed).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::admission::Permit;
use crate::classify::Classify;
use crate::observe::service::Shared;
use crate::sync::anchors::Anchor;

pin_project! {
    /// The response future of [`Observed`](super::Observed).
    pub struct ResponseFuture<F, C> {
        #[pin]
        inner: F,
        permit: Permit<Anchor<Shared<C>>>,
    }
}

impl<F, C> ResponseFuture<F, C> {
    #[inline(always)]
    pub(super) fn new(inner: F, permit: Permit<Anchor<Shared<C>>>) -> Self {
        Self { inner, permit }
    }
}

impl<F, C, T, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Classify<T, E>,
{
    type Output = Result<T, E>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.inner.poll(cx));
        this.permit.settle_with(|shared| shared.classifier.classify(outcome.as_ref()));
        Poll::Ready(outcome)
    }
}

impl<F, C> fmt::Debug for ResponseFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("observe::ResponseFuture")
    }
}
