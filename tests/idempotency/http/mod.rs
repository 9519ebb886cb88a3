//! The layer over HTTP, sentence by sentence.

mod barrier;
mod bodies;
mod callers;
mod concurrent;
mod faults;
mod grpc;
mod headers;
mod identity;
mod leases;
mod outcomes;
mod reports;
mod requests;
mod settings;
mod tower_contract;

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use buttress::idempotency::{
    Body, Builder, Context, IdempotencyLayer, MemoryStore, RecordState, Scoped, Snapshot, Store,
};
use buttress::observe::{Event, EventKind, IdempotencyResult, Stage};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::faulty::FaultyStore;

pub(super) const S: Duration = Duration::from_secs(1);
pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const LEASE: Duration = Duration::from_secs(60);

pub(super) type Memory = FaultyStore<MemoryStore>;
pub(super) type Sent = Full<Bytes>;
pub(super) type Call = Request<Body<Sent>>;

pub(super) fn memory() -> Memory {
    FaultyStore::new(MemoryStore::builder().single_instance().build())
}

pub(super) fn unscoped(store: &Memory) -> Builder<Memory, Scoped> {
    IdempotencyLayer::builder(store.clone()).unscoped()
}

/// A `POST /orders`.
pub(super) fn post(key: &str, body: &str) -> Request<Sent> {
    request("POST", "/orders", Some(key), body)
}

pub(super) fn request(method: &str, uri: &str, key: Option<&str>, body: &str) -> Request<Sent> {
    let mut request = Request::builder().method(method).uri(uri);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

/// A response with all of its body.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) trailers: Option<HeaderMap>,
}

impl Answer {
    pub(super) async fn of<B>(response: Response<B>) -> Self
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: std::fmt::Debug,
    {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned();
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        Self { status: parts.status.as_u16(), headers: parts.headers, body, trailers }
    }

    pub(super) fn is_replay(&self) -> bool {
        self.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The refusal of the layer, as the marker has it.
    pub(super) fn code(&self) -> Option<&str> {
        self.header("buttress-refusal")
    }

    #[track_caller]
    pub(super) fn is_refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code()), (status, Some(code)), "{self:?}");
        assert!(!self.headers.contains_key("idempotency-replayed"));
    }

    #[track_caller]
    pub(super) fn is_own(&self, status: u16, body: &str) {
        assert_eq!((self.status, &*self.body, self.is_replay()), (status, body, false), "{self:?}");
        assert_eq!(self.code(), None);
    }

    #[track_caller]
    pub(super) fn is_replayed(&self, status: u16, body: &str) {
        assert_eq!((self.status, &*self.body, self.is_replay()), (status, body, true), "{self:?}");
    }
}

/// Any service behind the layer.
pub(super) type Shop<B = Body<Sent>> =
    BoxCloneSyncService<Request<Sent>, Response<Body<B>>, Infallible>;

/// How often a handler has been started, and how often it has come to its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    started: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Runs {
    /// The number of this run, from 1.
    pub(super) fn start(&self) -> usize {
        self.started.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(super) fn end(&self) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    pub(super) fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

/// What a handler is given: the number of its run, its context and its request's body.
pub(super) struct Work {
    pub(super) run: usize,
    pub(super) context: Option<Context>,
    pub(super) body: String,
}

impl Work {
    pub(super) fn context(&self) -> &Context {
        self.context.as_ref().expect("a protected request")
    }
}

/// A handler, counted, behind a layer.
pub(super) fn shop<F, Fut>(layer: &IdempotencyLayer<Memory>, runs: &Runs, handler: F) -> Shop<Sent>
where
    F: Fn(Work) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<Sent>> + Send + 'static,
{
    let runs = runs.clone();
    let counted = service_fn(move |request: Call| {
        let (runs, handler) = (runs.clone(), handler.clone());
        async move {
            let run = runs.start();
            let context = request.extensions().get::<Context>().cloned();
            let body = Answer::of(Response::new(request.into_body())).await.body;
            let response = handler(Work { run, context, body }).await;
            runs.end();
            Ok::<_, Infallible>(response)
        }
    });
    BoxCloneSyncService::new(layer.layer(counted))
}

/// A handler that answers `201` with the number of its run.
pub(super) fn plain(layer: &IdempotencyLayer<Memory>, runs: &Runs) -> Shop<Sent> {
    shop(layer, runs, async |work| answer(201, &format!("run {}", work.run)))
}

/// One that takes this long for it.
pub(super) fn slow(layer: &IdempotencyLayer<Memory>, runs: &Runs, takes: Duration) -> Shop<Sent> {
    shop(layer, runs, move |work: Work| async move {
        tokio::time::sleep(takes).await;
        answer(201, &format!("run {}", work.run))
    })
}

pub(super) fn answer(status: u16, body: &str) -> Response<Sent> {
    let response = Response::builder().status(status).header("content-type", "text/plain");
    response.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

pub(super) async fn call<S, B>(service: &S, request: Request<Sent>) -> Answer
where
    S: Service<Request<Sent>, Response = Response<Body<B>>, Error = Infallible> + Clone,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let Ok(response) = service.clone().oneshot(request).await;
    Answer::of(response).await
}

/// A request that is on its way, up to where it waits for something.
pub(super) fn begin(service: &Shop<Sent>, request: Request<Sent>) -> BoxFuture<'static, Answer> {
    let service = service.clone();
    let mut call = async move { call(&service, request).await }.boxed();
    let first =
        call.poll_unpin(&mut std::task::Context::from_waker(futures::task::noop_waker_ref()));
    assert!(matches!(first, Poll::Pending), "answered at once");
    call
}

/// Lets all tasks come to where they wait for time.
pub(super) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

pub(super) async fn record(store: &Memory) -> Option<Snapshot> {
    store.inspect(&store.last_key()).await.unwrap()
}

pub(super) async fn state(store: &Memory) -> Option<RecordState> {
    record(store).await.map(|snapshot| snapshot.state)
}

/// What a panic has thrown.
pub(super) async fn panic_of<T>(work: impl Future<Output = T>) -> Box<dyn Any + Send> {
    let thrown = AssertUnwindSafe(work).catch_unwind().await;
    thrown.err().expect("a panic")
}

/// What the observers are told.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Arc<Mutex<Vec<(Stage, EventKind)>>>);

impl Told {
    pub(super) fn listener(&self) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        let told = self.0.clone();
        move |event: &Event<'_>| told.lock().unwrap().push((event.stage, event.kind))
    }

    pub(super) fn all(&self) -> Vec<(Stage, EventKind)> {
        self.0.lock().unwrap().clone()
    }

    /// The results, in order.
    pub(super) fn results(&self) -> Vec<IdempotencyResult> {
        let of = |(_, kind): (Stage, EventKind)| match kind {
            EventKind::Idempotency(result) => Some(result),
            _ => None,
        };
        self.all().into_iter().filter_map(of).collect()
    }

    /// What the gauges say: in flight, and queued.
    pub(super) fn gauges(&self) -> (i64, i64) {
        let (mut in_flight, mut queued) = (0, 0);
        for (stage, kind) in self.all() {
            match kind {
                EventKind::Queued => queued += 1,
                EventKind::Admitted { .. } => {
                    in_flight += 1;
                    queued -= i64::from(stage == Stage::Waiting);
                }
                EventKind::Settled { .. } | EventKind::Abandoned | EventKind::Rejected(_) => {
                    in_flight -= i64::from(
                        stage == Stage::InFlight || matches!(kind, EventKind::Settled { .. }),
                    );
                    queued -= i64::from(stage == Stage::Waiting);
                }
                EventKind::Idempotency(_) => queued -= i64::from(stage == Stage::Waiting),
                _ => {}
            }
        }
        (in_flight, queued)
    }
}

pub(super) fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap()
}
