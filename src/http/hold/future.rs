//! The response future of [`Holding`](super::Holding).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::admission::{Hold, Settle};
use crate::classify::{ClassifyEnd, End};
use crate::http::hold::HeldBody;
use crate::http::hold::held::Held;

pin_project! {
    /// The response future of [`Holding`](super::Holding).
    pub struct HoldFuture<F> {
        #[pin]
        inner: F,
        // The answer to a HEAD request.
        bodiless: bool,
    }
}

impl<F> HoldFuture<F> {
    pub(super) fn new(inner: F, bodiless: bool) -> Self {
        Self { inner, bodiless }
    }
}

impl<F, P, B, E> Future for HoldFuture<F>
where
    F: Future<Output = Result<Response<B>, E>> + Hold<Response<B>, E, Permit = P>,
    P: Settle,
    P::Classifier: ClassifyEnd<Response<B>, E, HeaderMap>,
    B: Body,
{
    type Output = Result<Response<HeldBody<B, P, E>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (outcome, permit) = ready!(this.inner.poll_hold(cx));
        let Some(permit) = permit else {
            return Poll::Ready(outcome.map(|response| response.map(HeldBody::free)));
        };
        let verdict = permit.classifier().at_head(outcome.as_ref());
        let mut held = Held::new(permit, verdict);
        Poll::Ready(match outcome {
            Ok(response) if *this.bodiless || has_no_body(&response) => {
                held.end::<Response<B>, E>(End::Complete(None));
                Ok(response.map(HeldBody::free))
            }
            Ok(response) => {
                held.expect::<Response<B>, E>(response.headers());
                Ok(response.map(|body| HeldBody::new(body, held)))
            }
            Err(error) => {
                held.end::<Response<B>, E>(End::Failed);
                Err(error)
            }
        })
    }
}

pub(in crate::http) fn has_no_body(response: &Response<impl Body>) -> bool {
    matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || response.body().is_end_stream()
}

impl<F> fmt::Debug for HoldFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HoldFuture")
    }
}
