//! The response future of [`Respond`](super::Respond).

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use crate::admission::taken;
use crate::error::IntoRejected;
use crate::http::respond::ResponseBody;
use crate::http::respond::render::{Render, refuse};
use crate::rejected::Rejected;

pin_project! {
    /// The response future of [`Respond`](super::Respond).
    pub struct RespondFuture<F, R> {
        #[pin]
        state: State<F>,
        renderer: PhantomData<fn() -> R>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<F> {
        Calling { #[pin] inner: F },
        Refused { rejected: Option<Rejected> },
    }
}

impl<F, R> RespondFuture<F, R> {
    pub(super) fn calling(inner: F) -> Self {
        Self { state: State::Calling { inner }, renderer: PhantomData }
    }

    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { state: State::Refused { rejected: Some(rejected) }, renderer: PhantomData }
    }
}

impl<F, R, B, E> Future for RespondFuture<F, R>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: IntoRejected,
    R: Render,
{
    type Output = Result<Response<ResponseBody<B>>, E::Service>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let rejected = match self.project().state.project() {
            Projected::Calling { inner } => match ready!(inner.poll(cx)) {
                Ok(response) => return Poll::Ready(Ok(response.map(ResponseBody::inner))),
                Err(error) => error.into_rejected()?,
            },
            Projected::Refused { rejected } => taken(rejected),
        };
        Poll::Ready(Ok(refuse::<R, B>(rejected)))
    }
}

impl<F, R> fmt::Debug for RespondFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RespondFuture")
    }
}
