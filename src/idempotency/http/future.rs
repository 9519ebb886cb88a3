//! [`ResponseFuture`]: from the request's body to the answer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::idempotency::execution::{Refusal, Running};
use crate::idempotency::http::gather::{End, Gather};
use crate::idempotency::http::run::Run;
use crate::idempotency::http::service::{Protocol, Shared, Ticket};
use crate::idempotency::http::{Body, grpc};
use crate::idempotency::store::Store;
use crate::observe::IdempotencyResult;
use crate::observe::Stage as Place;
use crate::rejected::Reason;

pin_project! {
    /// The response future of [`Idempotency`](super::Idempotency).
    ///
    /// Dropped before the request's body is there, nothing has happened. From then on the request
    /// runs to its end by itself, unless the layer says otherwise.
    pub struct ResponseFuture<S, St, RB, OB>
    where
        S: Service<Request<Body<RB>>>,
        RB: http_body::Body,
        OB: http_body::Body,
    {
        #[pin]
        stage: Stage<S, St, RB, OB>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, St, RB, OB>
    where
        S: Service<Request<Body<RB>>>,
        RB: http_body::Body,
        OB: http_body::Body,
    {
        // Waits for the inner service, for a request that the layer lets pass.
        Readying { inner: S, request: Option<Request<Body<RB>>> },
        Passing { #[pin] future: S::Future },
        Collecting { #[pin] body: Gather<RB>, start: Option<Start<S, St>> },
        Running {
            running: Running<Result<Response<Body<OB>>, S::Error>>,
            shared: Arc<Shared<St>>,
            protocol: Protocol,
        },
        Answered { response: Option<Response<Body<OB>>> },
    }
}

/// What is needed once the body is there.
pub(super) struct Start<S, St> {
    pub(super) inner: S,
    pub(super) shared: Arc<Shared<St>>,
    pub(super) parts: Parts,
    pub(super) ticket: Ticket,
}

impl<S, St, RB, OB> ResponseFuture<S, St, RB, OB>
where
    S: Service<Request<Body<RB>>>,
    RB: http_body::Body,
    OB: http_body::Body,
{
    pub(super) fn passing(inner: S, request: Request<Body<RB>>) -> Self {
        Self { stage: Stage::Readying { inner, request: Some(request) } }
    }

    pub(super) fn answered(response: Response<Body<OB>>) -> Self {
        Self { stage: Stage::Answered { response: Some(response) } }
    }

    pub(super) fn collecting(body: RB, limit: usize, start: Start<S, St>) -> Self {
        let body = Gather::new(body, limit);
        Self { stage: Stage::Collecting { body, start: Some(start) } }
    }
}

impl<S, St, RB, OB> Future for ResponseFuture<S, St, RB, OB>
where
    S: Service<Request<Body<RB>>, Response = Response<OB>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    St: Store,
    RB: http_body::Body<Data = Bytes> + Send + 'static,
    RB::Error: Send,
    OB: http_body::Body<Data = Bytes> + Send + 'static,
    OB::Error: Send,
{
    type Output = Result<Response<Body<OB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            let next = match stage.as_mut().project() {
                StageProj::Readying { inner, request } => {
                    ready!(inner.poll_ready(cx))?;
                    let request = request.take().expect("a request is sent once");
                    Stage::Passing { future: inner.call(request) }
                }
                StageProj::Passing { future } => {
                    return future.poll(cx).map_ok(|response| response.map(Body::passing));
                }
                StageProj::Collecting { body, start } => {
                    let end = ready!(body.poll(cx));
                    start.take().expect("a request is started once").with(end)
                }
                StageProj::Running { running, shared, protocol } => {
                    // The runtime shuts down: whether the handler has run is not known.
                    let ended = || Refusal::new(Reason::OutcomeUnknown);
                    let answer = ready!(Pin::new(running).poll(cx));
                    return Poll::Ready(
                        answer.unwrap_or_else(|| Ok(shared.refused(ended(), *protocol))),
                    );
                }
                StageProj::Answered { response } => {
                    let response = response.take();
                    return Poll::Ready(Ok(response.expect("polled after it was ready")));
                }
            };
            stage.set(next);
        }
    }
}

impl<S, St> Start<S, St> {
    /// Starts the task, or says why not.
    fn with<RB, OB>(self, end: End<RB::Error>) -> Stage<S, St, RB, OB>
    where
        S: Service<Request<Body<RB>>, Response = Response<OB>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Send + 'static,
        St: Store,
        RB: http_body::Body<Data = Bytes> + Send + 'static,
        RB::Error: Send,
        OB: http_body::Body<Data = Bytes> + Send + 'static,
        OB::Error: Send,
    {
        let Self { inner, shared, parts, ticket } = self;
        let protocol = ticket.protocol;
        let refused = |refusal| {
            let response = Some(shared.refused(refusal, protocol));
            Stage::Answered { response }
        };
        let (body, trailers) = match end {
            End::Whole { data, trailers } => (data, trailers),
            End::Limit => return refused(shared.unfit_for(Reason::RequestTooLarge)),
            End::Broken(_) => return refused(shared.unfit_for(Reason::BodyRead)),
        };
        if protocol == Protocol::Grpc && !grpc::is_one_message(&body) {
            return refused(shared.unfit_for(Reason::BodyRead));
        }
        let (key, fingerprint) = shared.identify(&ticket, &parts, &body);
        let request = Request::from_parts(parts, Body::whole(body, trailers));
        let run = Run { shared: shared.clone(), key, fingerprint, protocol };
        let Some(running) = shared.engine.spawn(move |caller| run.request(inner, request, caller))
        else {
            let rejected = IdempotencyResult::Rejected;
            return refused(shared.engine.refuse(Place::Arriving, rejected, Reason::Overloaded));
        };
        Stage::Running { running, shared, protocol }
    }
}

impl<S, St, RB, OB> fmt::Debug for ResponseFuture<S, St, RB, OB>
where
    S: Service<Request<Body<RB>>>,
    RB: http_body::Body,
    OB: http_body::Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("idempotency::ResponseFuture")
    }
}
