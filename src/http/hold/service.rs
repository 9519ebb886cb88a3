//! [`Holding`]: the service of [`HoldBody`](super::HoldBody).

use std::task::{Context, Poll};

use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::admission::{Hold, Settle};
use crate::classify::ClassifyEnd;
use crate::http::hold::{HeldBody, HoldFuture};

/// Passes the permit of the inner service's calls on into the response bodies. Made by
/// [`HoldBody`](super::HoldBody).
#[derive(Clone, Copy, Debug)]
pub struct Holding<S> {
    inner: S,
}

impl<S> Holding<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, P, A, B> Service<Request<A>> for Holding<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Hold<Response<B>, S::Error, Permit = P>,
    P: Settle,
    P::Classifier: ClassifyEnd<Response<B>, S::Error, HeaderMap>,
    B: Body,
{
    type Response = Response<HeldBody<B, P, S::Error>>;
    type Error = S::Error;
    type Future = HoldFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let bodiless = request.method() == Method::HEAD;
        HoldFuture::new(self.inner.call(request), bodiless)
    }
}
