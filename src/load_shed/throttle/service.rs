//! [`Throttle`]: the service of [`ThrottleLayer`](super::ThrottleLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::classify::{Classify, DefaultClassifier};
use crate::error::Rejectable;
use crate::load_shed::ThrottleFuture;
use crate::load_shed::throttle::shared::Shared;
use crate::load_shed::throttle::state::Slice;
use crate::sync::anchors::Anchors;

/// Calls the inner service less while it asks for less. Made by
/// [`ThrottleLayer`](super::ThrottleLayer).
pub struct Throttle<S, C = DefaultClassifier> {
    inner: S,
    shared: Arc<Anchors<Shared<C>>>,
    /// Of the last call.
    slice: Slice,
}

impl<S, C> Throttle<S, C> {
    pub(super) fn new(inner: S, shared: Arc<Anchors<Shared<C>>>) -> Self {
        let slice = shared.control.machine.first();
        Self { inner, shared, slice }
    }
}

impl<S, C, Req> Service<Req> for Throttle<S, C>
where
    S: Service<Req>,
    S::Error: Rejectable,
    C: Classify<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ThrottleFuture<S::Future, C>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        match Shared::admit(&self.shared, &mut self.slice) {
            // The permit exists before the inner service is called: a panic in there abandons it.
            Ok(permit) => ThrottleFuture::running(self.inner.call(request), permit),
            Err(rejected) => ThrottleFuture::refused(rejected),
        }
    }
}

impl<S: Clone, C> Clone for Throttle<S, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: self.shared.clone(), slice: self.slice }
    }
}

impl<S: fmt::Debug, C> fmt::Debug for Throttle<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("inner", &self.inner)
            .field("control", &self.shared.control)
            .finish_non_exhaustive()
    }
}
