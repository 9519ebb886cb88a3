//! The response future of [`RateLimitHeaders`](super::RateLimitHeaders).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use crate::http::RateLimitHeadersLayer;
use crate::rate_limit::{Buckets, Fixed, Refuse, Whole};

pin_project! {
    /// The response future of [`RateLimitHeaders`](super::RateLimitHeaders).
    pub struct RateLimitHeadersFuture<F, K: Buckets = Whole, M = Refuse, C = Fixed> {
        #[pin]
        inner: F,
        layer: RateLimitHeadersLayer<K, M, C>,
        spot: K::Spot,
    }
}

impl<F, K: Buckets, M, C> RateLimitHeadersFuture<F, K, M, C> {
    pub(super) fn new(inner: F, layer: RateLimitHeadersLayer<K, M, C>, spot: K::Spot) -> Self {
        Self { inner, layer, spot }
    }
}

impl<F, K, M, C, B, E> Future for RateLimitHeadersFuture<F, K, M, C>
where
    F: Future<Output = Result<Response<B>, E>>,
    K: Buckets,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut outcome = ready!(this.inner.poll(cx));
        if let Ok(response) = &mut outcome {
            this.layer.tell(this.spot, response.headers_mut());
        }
        Poll::Ready(outcome)
    }
}

impl<F, K: Buckets, M, C> fmt::Debug for RateLimitHeadersFuture<F, K, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RateLimitHeadersFuture")
    }
}
