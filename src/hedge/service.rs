//! [`Hedge`]: the service of [`HedgeLayer`](super::HedgeLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::error::Rejectable;
use crate::hedge::ResponseFuture;
use crate::hedge::second::Second;
use crate::hedge::shared::Shared;
use crate::policy::Policy;
use crate::sync::anchors::Anchors;

/// Sends a second attempt beside a slow first one.
pub struct Hedge<S, P> {
    inner: S,
    shared: Arc<Anchors<Shared<P>>>,
}

impl<S, P> Hedge<S, P> {
    pub(super) fn new(inner: S, shared: Arc<Anchors<Shared<P>>>) -> Self {
        Self { inner, shared }
    }
}

impl<S, P, Req> Service<Req> for Hedge<S, P>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    P: Policy<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, P>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, mut request: Req) -> Self::Future {
        // The permit exists before foreign code runs: a panic in there returns it.
        let permit = Shared::admit(&self.shared);
        let kept = self.shared.keep(&mut request);
        let deadline = kept.as_ref().and_then(|kept| self.shared.policy.deadline(kept));
        // The clone is for the second attempt; the instance that was made ready serves the first.
        let second = Second::keep(kept.map(|kept| (self.inner.clone(), kept)), deadline);
        ResponseFuture::new(self.inner.call(request), second, permit)
    }
}

impl<S: Clone, P> Clone for Hedge<S, P> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.shared.clone())
    }
}

impl<S: fmt::Debug, P> fmt::Debug for Hedge<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge").field("inner", &self.inner).field("shared", &self.shared).finish()
    }
}
