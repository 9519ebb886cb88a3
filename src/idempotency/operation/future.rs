//! [`OperationFuture`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::idempotency::execution::Running;
use crate::idempotency::operation::run::Answer;
use crate::idempotency::operation::{Idempotent, OperationError};

pin_project! {
    /// The response future of [`Operations`](super::Operations).
    ///
    /// Dropped, it leaves the request to run to its end by itself, unless the layer says otherwise.
    pub struct OperationFuture<S, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        stage: Stage<S, Req>,
    }
}

pin_project! {
    #[project = Projected]
    enum Stage<S, Req>
    where
        S: Service<Req>,
    {
        // Waits for the inner service, for a request that the layer lets pass.
        Readying { inner: S, request: Option<Req> },
        Passing { #[pin] future: S::Future },
        Running { running: Running<Answer<S::Response, S::Error>> },
        Refused { error: Option<OperationError<S::Error>> },
    }
}

impl<S, Req> OperationFuture<S, Req>
where
    S: Service<Req>,
{
    pub(super) fn passing(inner: S, request: Req) -> Self {
        Self { stage: Stage::Readying { inner, request: Some(request) } }
    }

    pub(super) fn running(running: Running<Answer<S::Response, S::Error>>) -> Self {
        Self { stage: Stage::Running { running } }
    }

    pub(super) fn refused(error: OperationError<S::Error>) -> Self {
        Self { stage: Stage::Refused { error: Some(error) } }
    }
}

impl<S, Req> Future for OperationFuture<S, Req>
where
    S: Service<Req>,
{
    type Output = Answer<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            let next = match stage.as_mut().project() {
                Projected::Readying { inner, request } => {
                    ready!(inner.poll_ready(cx)).map_err(OperationError::Inner)?;
                    let request = request.take().expect("a request is sent once");
                    Stage::Passing { future: inner.call(request) }
                }
                Projected::Passing { future } => {
                    let outcome = ready!(future.poll(cx));
                    return Poll::Ready(
                        outcome.map(Idempotent::fresh).map_err(OperationError::Inner),
                    );
                }
                Projected::Running { running } => {
                    // The runtime shuts down: whether the request has run is not known.
                    let ended = || Err(OperationError::OutcomeUnknown);
                    return Pin::new(running).poll(cx).map(|answer| answer.unwrap_or_else(ended));
                }
                Projected::Refused { error } => {
                    return Poll::Ready(Err(error.take().expect("polled after it was ready")));
                }
            };
            stage.set(next);
        }
    }
}

impl<S, Req> fmt::Debug for OperationFuture<S, Req>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("idempotency::OperationFuture")
    }
}
