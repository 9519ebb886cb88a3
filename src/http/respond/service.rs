//! [`Respond`]: the service of [`RespondLayer`](super::RespondLayer).

use std::fmt;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use http::Response;
use tower_service::Service;

use crate::error::IntoRejected;
use crate::http::respond::render::Render;
use crate::http::respond::{Problem, RespondFuture, ResponseBody};
use crate::rejected::Rejected;

/// Answers the refusals of the inner stack with responses. Made by
/// [`RespondLayer`](super::RespondLayer).
pub struct Respond<S, R = Problem> {
    inner: S,
    /// A refusal that came in place of readiness. As an error of `poll_ready` it would mean that
    /// the service is dead; the next call is answered with it instead.
    refused: Option<Rejected>,
    renderer: PhantomData<fn() -> R>,
}

impl<S, R> Respond<S, R> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, refused: None, renderer: PhantomData }
    }
}

impl<S, R, Req, B> Service<Req> for Respond<S, R>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: IntoRejected,
    R: Render,
{
    type Response = Response<ResponseBody<B>>;
    type Error = <S::Error as IntoRejected>::Service;
    type Future = RespondFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.refused.is_some() {
            return Poll::Ready(Ok(()));
        }
        self.inner.poll_ready(cx).map(|ready| {
            ready.or_else(|error| {
                self.refused = Some(error.into_rejected()?);
                Ok(())
            })
        })
    }

    fn call(&mut self, request: Req) -> Self::Future {
        match self.refused.take() {
            Some(rejected) => RespondFuture::refused(rejected),
            None => RespondFuture::calling(self.inner.call(request)),
        }
    }
}

impl<S: Clone, R> Clone for Respond<S, R> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl<S: fmt::Debug, R> fmt::Debug for Respond<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Respond").field("inner", &self.inner).finish_non_exhaustive()
    }
}
