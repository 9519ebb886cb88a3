//! Servers: hyper, with our layers or without, around a handler that takes down what it does.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::bulkhead::{self, BulkheadLayer};
use buttress::http::respond;
use buttress::timeout::{DeadlineLayer, TimeoutLayer};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use turmoil::net::TcpListener;

use super::history::{History, What};
use super::net::{PORT, Protocol};

/// The request's number, in its header.
pub(super) const ID: &str = "x-id";
/// When its caller gives up, in microseconds of the run: for the books, not for the layers.
pub(super) const GIVES_UP: &str = "x-gives-up";

/// Bulkheads that must be empty when the run is over. A clone shares the list.
#[derive(Clone, Debug, Default)]
pub(super) struct Bulkheads(Arc<Mutex<Vec<bulkhead::Handle>>>);

impl Bulkheads {
    pub(super) fn watch(&self, handle: bulkhead::Handle) {
        self.0.lock().unwrap().push(handle);
    }

    #[track_caller]
    pub(super) fn assert_empty(&self) {
        for handle in &*self.0.lock().unwrap() {
            assert_eq!((handle.in_flight(), handle.queued()), (0, 0), "in flight, queued");
        }
    }
}

/// What stands in front of the handler. The numbers: of requests that are worked on at once, and of
/// those that wait.
#[derive(Clone, Copy, Debug)]
pub(super) enum Guard {
    Nothing,
    Bulkhead(usize, usize),
    /// Deadline, bulkhead and timeout.
    Full(usize, usize),
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) protocol: Protocol,
    /// How long a request takes; the effect comes half way.
    pub(super) work: Duration,
    pub(super) guard: Guard,
    pub(super) history: History,
    pub(super) bulkheads: Bulkheads,
}

impl Server {
    /// Serves from one boot to the next.
    pub(super) async fn run(self) -> turmoil::Result {
        let handler = Handler { server: self.name, work: self.work, history: self.history };
        let handler = tower::service_fn(move |request| handler.clone().handle(request));
        let bulkhead = |limit, queue| {
            let bulkhead = BulkheadLayer::builder(limit).queue(queue).build();
            self.bulkheads.watch(bulkhead.handle());
            bulkhead
        };
        match self.guard {
            Guard::Nothing => listen(self.protocol, handler).await,
            Guard::Bulkhead(limit, queue) => {
                listen(self.protocol, respond(bulkhead(limit, queue)).layer(handler)).await
            }
            Guard::Full(limit, queue) => {
                let layers = ServiceBuilder::new()
                    .layer(DeadlineLayer::new())
                    .layer(bulkhead(limit, queue))
                    .layer(TimeoutLayer::new(20 * self.work));
                listen(self.protocol, respond(layers).layer(handler)).await
            }
        }
    }
}

async fn listen<S, B>(protocol: Protocol, service: S) -> turmoil::Result
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: StdError + Send + Sync> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let (spawn, mut spawned) = mpsc::unbounded_channel();
    let spawn = Spawn(spawn);
    let mut tasks = FuturesUnordered::new();
    loop {
        let socket = tokio::select! {
            biased;
            Some(task) = spawned.recv() => {
                tasks.push(task);
                continue;
            }
            Some(()) = tasks.next(), if !tasks.is_empty() => continue,
            accepted = listener.accept() => TokioIo::new(accepted?.0),
        };
        let service = service.clone();
        let service = service_fn(move |request| service.clone().oneshot(request));
        let executor = spawn.clone();
        spawn.execute(async move {
            // How a connection ends is the client's to tell.
            let _ = match protocol {
                Protocol::Http1 => http1::Builder::new().serve_connection(socket, service).await,
                Protocol::Http2 => {
                    http2::Builder::new(executor).serve_connection(socket, service).await
                }
            };
        });
    }
}

/// Spawns into the server's own task: the tasks of a runtime, which a crash drops, it drops in an
/// order of no certainty.
#[derive(Clone)]
struct Spawn(mpsc::UnboundedSender<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl<F: Future + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, future: F) {
        let task = Box::pin(async move {
            future.await;
        });
        // A server that is gone runs nothing.
        let _ = self.0.send(task);
    }
}

#[derive(Clone)]
struct Handler {
    server: &'static str,
    work: Duration,
    history: History,
}

impl Handler {
    async fn handle(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let number = |name| request.headers()[name].to_str().unwrap().parse::<u64>().unwrap();
        let (server, id) = (self.server, number(ID));
        let deadline = Duration::from_micros(number(GIVES_UP));
        self.history.add(What::Started { server, id, deadline });
        let mut work = Work { handler: &self, id, is_done: false };
        // A body that breaks off is no request.
        if request.into_body().collect().await.is_ok() {
            tokio::time::sleep(self.work / 2).await;
            self.history.add(What::Took { server, id });
            tokio::time::sleep(self.work / 2).await;
        }
        work.is_done = true;
        Ok(Response::new(Full::from("done")))
    }
}

/// What a handler is at.
struct Work<'a> {
    handler: &'a Handler,
    id: u64,
    is_done: bool,
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            let server = self.handler.server;
            self.handler.history.add(What::Dropped { server, id: self.id });
        }
    }
}
