//! The response future of [`BodyTimeout`](super::BodyTimeout).

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::admission::Permit;
use crate::classify::{Classify, DefaultClassifier, End, Verdict};
use crate::http::TimeoutBody;
use crate::http::body_timeout::permit::Call;
use crate::http::hold::{Held, has_no_body};
use crate::sync::anchors::Anchor;
use crate::timeout::state::Shared;

/// How long a body may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) idle: Option<Duration>,
    pub(super) total: Option<Duration>,
}

impl Limits {
    /// A body whose head has just come.
    fn over<B>(self, body: B) -> TimeoutBody<B> {
        let body = TimeoutBody::new(body);
        let body = self.idle.into_iter().fold(body, TimeoutBody::idle);
        self.total.into_iter().fold(body, TimeoutBody::total)
    }
}

pin_project! {
    /// The response future of [`BodyTimeout`](super::BodyTimeout): 72 bytes at most on top of the
    /// inner future.
    pub struct BodyTimeoutFuture<F> {
        #[pin]
        inner: F,
        permit: Permit<Anchor<Shared>>,
        limits: Limits,
        // The answer to a HEAD request.
        bodiless: bool,
    }
}

impl<F> BodyTimeoutFuture<F> {
    pub(super) fn new(
        inner: F,
        permit: Permit<Anchor<Shared>>,
        limits: Limits,
        bodiless: bool,
    ) -> Self {
        Self { inner, permit, limits, bodiless }
    }
}

impl<F, B, E> Future for BodyTimeoutFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    DefaultClassifier: Classify<Response<B>, E>,
{
    type Output = Result<Response<TimeoutBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match ready!(this.inner.poll(cx)) {
            Ok(response) => response,
            Err(error) => {
                let judge = |_: &Anchor<Shared>| DefaultClassifier.classify(Err(&error));
                this.permit.settle_with(judge);
                return Poll::Ready(Err(error));
            }
        };
        let mut held = Held::new(Call(this.permit.take()), Verdict::Wait);
        if *this.bodiless || has_no_body(&response) {
            held.end::<(), Infallible>(End::Complete(None));
            return Poll::Ready(Ok(response.map(TimeoutBody::new)));
        }
        held.expect::<(), Infallible>(response.headers());
        Poll::Ready(Ok(response.map(|body| this.limits.over(body).held(held))))
    }
}

impl<F> fmt::Debug for BodyTimeoutFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyTimeoutFuture")
    }
}
