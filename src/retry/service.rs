//! [`Retry`]: the service of [`RetryLayer`](super::RetryLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::error::Rejectable;
use crate::policy::Policy;
use crate::retry::ResponseFuture;
use crate::retry::state::Shared;
use crate::sync::anchors::Anchors;

/// Tries the calls to the inner service again. Made by [`RetryLayer`](super::RetryLayer).
pub struct Retry<S, P> {
    inner: S,
    shared: Arc<Anchors<Shared<P>>>,
}

impl<S, P> Retry<S, P> {
    pub(super) fn new(inner: S, shared: Arc<Anchors<Shared<P>>>) -> Self {
        Self { inner, shared }
    }
}

impl<S, P, Req> Service<Req> for Retry<S, P>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    P: Policy<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, S::Future, Req, P>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, mut request: Req) -> Self::Future {
        // The permit exists before foreign code runs: a panic in there returns it.
        let permit = Shared::admit(&self.shared);
        self.shared.policy.prepare(&mut request);
        let kept = self.shared.keep(&mut request, 1);
        // The clone is for further attempts; the instance that was made ready serves this one.
        let again = kept.map(|kept| (self.inner.clone(), kept));
        ResponseFuture::new(self.inner.call(request), again, permit)
    }
}

impl<S: Clone, P> Clone for Retry<S, P> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.shared.clone())
    }
}

impl<S: fmt::Debug, P> fmt::Debug for Retry<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("inner", &self.inner).finish_non_exhaustive()
    }
}
