//! A simulated server as its clients see it: a tower service, and the wire to it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tower_service::Service;

use super::faults::Down;
use super::host::{Host, Work, cut};
use super::record::Mark;
use super::request::{Failure, Request, Response};
use super::server::Cancellation;
use crate::sync::lock;

/// A boxed future: what a server's own stack is, is known to it alone.
pub(super) type Serving = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

/// The stack that a server has before its workers.
pub(super) type Front = Arc<dyn Fn(Request) -> Serving + Send + Sync>;

/// A simulated server, as its clients see it: a tower service whose error is a [`Failure`]. Put
/// [`LiftLayer`](crate::LiftLayer) above it.
#[derive(Clone)]
pub struct Endpoint {
    host: Arc<Host>,
    front: Option<Front>,
}

impl Endpoint {
    pub(super) fn new(host: Arc<Host>, front: Option<Front>) -> Self {
        Self { host, front }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.host).finish()
    }
}

impl Service<Request> for Endpoint {
    type Response = Response;
    type Error = Failure;
    type Future = Exchange;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Exchange {
        let direct = Work::new(Arc::clone(&self.host), request);
        Exchange { direct, front: self.front.clone(), route: Route::New }
    }
}

/// The response future of [`Endpoint`]. Nothing is sent before it is polled.
pub struct Exchange {
    direct: Work,
    front: Option<Front>,
    route: Route,
}

enum Route {
    New,
    /// To the workers, without a stack before them.
    Direct,
    /// Into the server's own stack, in a task of the server's own.
    Fronted(oneshot::Receiver<Result<Response, Failure>>, AbortHandle),
    Lost,
}

impl Exchange {
    fn send(&mut self) -> Result<Route, Failure> {
        let (host, request) = (&self.direct.host, &self.direct.request);
        host.record.server(host.index, Mark::Sent { client: request.client() }, request.id);
        let mut core = lock(&host.core);
        let condition = *core.station.condition();
        let unreachable = condition.down == Some(Down::Refusing);
        if condition.partitioned || condition.down == Some(Down::Silent) {
            drop(core);
            host.record.server(host.index, Mark::Cut, request.id);
            return Ok(Route::Lost);
        }
        let Some(front) = &self.front else { return Ok(Route::Direct) };
        if unreachable {
            return Err(Failure::Unreachable);
        }
        while core.tasks.try_join_next().is_some() {}
        let (answer, answered) = oneshot::channel();
        let serving = front(request.clone());
        let task = core.tasks.spawn(async move {
            // Who has gone does not hear it.
            let _ = answer.send(serving.await);
        });
        Ok(Route::Fronted(answered, task))
    }
}

impl Future for Exchange {
    type Output = Result<Response, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Route::New = self.route {
            match self.send() {
                Ok(route) => self.route = route,
                Err(failure) => return Poll::Ready(Err(failure)),
            }
        }
        let outcome = match &mut self.route {
            Route::Direct => return Pin::new(&mut self.direct).poll(cx),
            Route::New | Route::Lost => return Poll::Pending,
            Route::Fronted(answered, _) => ready!(Pin::new(answered).poll(cx)),
        };
        self.route = Route::Lost;
        let host = &self.direct.host;
        let mut core = lock(&host.core);
        let condition = *core.station.condition();
        let lost = condition.down == Some(Down::Silent) || cut(&condition, &mut core.wire);
        drop(core);
        if lost {
            host.record.server(host.index, Mark::Cut, self.direct.request.id);
            return Poll::Pending;
        }
        // A task without an answer was aborted: the server crashed.
        Poll::Ready(outcome.unwrap_or(Err(Failure::Reset)))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Route::Fronted(_, task) = &self.route
            && self.direct.host.cancellation == Cancellation::Stops
        {
            task.abort();
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exchange").field(&self.direct).finish()
    }
}
