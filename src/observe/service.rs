//! [`Observed`]: the service of [`ObserveLayer`](super::ObserveLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_service::Service;

use crate::admission::{Admitter, Permit};
use crate::classify::{Class, Classify, DefaultClassifier};
use crate::observe::{Emitter, EventKind, ResponseFuture, Stage};
use crate::sync::anchors::Anchors;
use crate::time::{self, Instant};

/// Reports the calls of the inner service. Made by [`ObserveLayer`](super::ObserveLayer).
pub struct Observed<S, C = DefaultClassifier> {
    inner: S,
    shared: Arc<Anchors<Shared<C>>>,
}

impl<S, C> Observed<S, C> {
    pub(super) fn new(inner: S, shared: Arc<Anchors<Shared<C>>>) -> Self {
        Self { inner, shared }
    }
}

impl<S, C, Req> Service<Req> for Observed<S, C>
where
    S: Service<Req>,
    C: Classify<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, C>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        self.shared.emitter.emit(Stage::Arriving, EventKind::Admitted { waited: Duration::ZERO });
        let permit = Permit::new(self.shared.mine().clone(), time::now());
        ResponseFuture::new(self.inner.call(request), permit)
    }
}

impl<S: Clone, C> Clone for Observed<S, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: self.shared.clone() }
    }
}

impl<S: fmt::Debug, C> fmt::Debug for Observed<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// What all services of one layer value share.
#[derive(Debug)]
pub(super) struct Shared<C> {
    pub(super) emitter: Emitter,
    pub(super) classifier: C,
}

impl<C> Admitter for Shared<C> {
    type Ticket = Instant;

    #[inline(always)]
    fn settle(&self, since: Instant, class: Class) {
        self.emitter.settled(since, class);
    }

    fn abandon(&self, _: Instant) {
        self.emitter.emit(Stage::InFlight, EventKind::Abandoned);
    }
}
