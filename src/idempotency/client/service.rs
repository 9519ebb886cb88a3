//! [`Key`]: the service of [`KeyLayer`](super::KeyLayer).

use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use crate::idempotency::client::stamp::Stamp;

/// Gives requests their idempotency keys. Made by [`KeyLayer`](super::KeyLayer).
#[derive(Clone, Debug)]
pub struct Key<S> {
    inner: S,
    stamp: Arc<Stamp>,
}

impl<S> Key<S> {
    pub(super) fn new(inner: S, stamp: Arc<Stamp>) -> Self {
        Self { inner, stamp }
    }
}

impl<S, B> Service<Request<B>> for Key<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        self.stamp.apply(&mut request);
        self.inner.call(request)
    }
}
