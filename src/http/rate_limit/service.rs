//! [`RateLimitHeaders`]: the service of [`RateLimitHeadersLayer`](super::RateLimitHeadersLayer).

use std::fmt;
use std::task::{Context, Poll};

use http::Response;
use tower_service::Service;

use crate::http::{RateLimitHeadersFuture, RateLimitHeadersLayer};
use crate::rate_limit::{FindBucket, Fixed, Refuse, Whole};

/// Tells callers how they stand. Made by [`RateLimitHeadersLayer`].
pub struct RateLimitHeaders<S, K = Whole, M = Refuse, C = Fixed> {
    inner: S,
    layer: RateLimitHeadersLayer<K, M, C>,
}

impl<S, K, M, C> RateLimitHeaders<S, K, M, C> {
    pub(super) fn new(inner: S, layer: RateLimitHeadersLayer<K, M, C>) -> Self {
        Self { inner, layer }
    }
}

impl<S, K, M, C, Req, B> Service<Req> for RateLimitHeaders<S, K, M, C>
where
    S: Service<Req, Response = Response<B>>,
    K: FindBucket<Req>,
    M: Clone,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = RateLimitHeadersFuture<S::Future, K, M, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let spot = self.layer.limit().spot(&request);
        RateLimitHeadersFuture::new(self.inner.call(request), self.layer.clone(), spot)
    }
}

impl<S: Clone, K, M: Clone, C> Clone for RateLimitHeaders<S, K, M, C> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.layer.clone())
    }
}

impl<S: fmt::Debug, K, M, C> fmt::Debug for RateLimitHeaders<S, K, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitHeaders")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}
