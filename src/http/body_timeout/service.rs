//! [`BodyTimeout`]: the service of [`BodyTimeoutLayer`](super::BodyTimeoutLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::classify::{Classify, DefaultClassifier};
use crate::http::body_timeout::future::Limits;
use crate::http::{BodyTimeoutFuture, TimeoutBody};
use crate::sync::anchors::Anchors;
use crate::timeout::state::Shared;

/// Bounds the response bodies of the inner service. Made by
/// [`BodyTimeoutLayer`](super::BodyTimeoutLayer).
#[derive(Clone)]
pub struct BodyTimeout<S> {
    inner: S,
    shared: Arc<Anchors<Shared>>,
    limits: Limits,
}

impl<S> BodyTimeout<S> {
    pub(super) fn new(inner: S, shared: Arc<Anchors<Shared>>, limits: Limits) -> Self {
        Self { inner, shared, limits }
    }
}

impl<S, A, B> Service<Request<A>> for BodyTimeout<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Body,
    DefaultClassifier: Classify<Response<B>, S::Error>,
{
    type Response = Response<TimeoutBody<B>>;
    type Error = S::Error;
    type Future = BodyTimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let bodiless = request.method() == Method::HEAD;
        let permit = Shared::admit(&self.shared, None);
        BodyTimeoutFuture::new(self.inner.call(request), permit, self.limits, bodiless)
    }
}

impl<S: fmt::Debug> fmt::Debug for BodyTimeout<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyTimeout")
            .field("inner", &self.inner)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
