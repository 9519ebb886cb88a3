//! Retries over hyper's client, with bodies that stream.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use buttress::http::{ReplayBody, RetryPolicy};
use buttress::observe::{Event, EventKind};
use buttress::retry::{Backoff, Jitter, RetryLayer};
use buttress::{Error, LiftLayer};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tower::{Service, ServiceBuilder, ServiceExt};

use super::net;

const FRAME: usize = 1024;
const FRAMES: usize = 12;

/// What reached the server over a connection that was not reset.
#[derive(Debug)]
struct Arrived {
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

/// Resets its first connections in the middle of the request, and serves the others.
#[derive(Clone)]
pub(super) struct Flaky {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    reset: Arc<Notify>,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Flaky {
    pub(super) async fn start(resets: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            reset: Arc::default(),
            arrived: Arc::default(),
        };
        let shared = server.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                if shared.connections.fetch_add(1, Ordering::SeqCst) < resets {
                    reset(socket).await;
                    shared.reset.notify_one();
                } else {
                    tokio::spawn(shared.clone().serve(socket));
                }
            }
        });
        server
    }

    async fn serve(self, socket: TcpStream) {
        let service = service_fn(move |request: Request<Incoming>| {
            let arrived = self.arrived.clone();
            async move {
                let (head, body) = request.into_parts();
                let collected = body.collect().await?;
                let trailers = collected.trailers().cloned();
                let body = collected.to_bytes();
                arrived.lock().unwrap().push(Arrived { headers: head.headers, body, trailers });
                Ok::<_, hyper::Error>(Response::new(Empty::<Bytes>::new()))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new();
        let _ = connection.serve_connection(TokioIo::new(socket), service).await;
    }

    pub(super) fn uri(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The bodies that arrived whole.
    pub(super) fn bodies(&self) -> Vec<Bytes> {
        self.arrived.lock().unwrap().iter().map(|arrived| arrived.body.clone()).collect()
    }

    /// A body that is not to be had as a whole before the first connection is reset.
    pub(super) fn body(
        &self,
        trailers: Option<HeaderMap>,
    ) -> impl Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static {
        let reset = self.reset.clone();
        let frames = stream::iter(0..FRAMES).then(move |number| {
            let reset = reset.clone();
            async move {
                if number == FRAMES / 2 {
                    reset.notified().await;
                }
                Ok(Frame::data(frame(number)))
            }
        });
        let trailers = stream::iter(trailers.map(Frame::trailers).map(Ok));
        StreamBody::new(Box::pin(frames.chain(trailers)))
    }
}

/// Reads a part of the request, and answers with a reset in place of a close.
async fn reset(mut socket: TcpStream) {
    let mut read = vec![0; 2 * FRAME];
    socket.read_exact(&mut read).await.unwrap();
    socket.set_zero_linger().unwrap();
}

fn frame(number: usize) -> Bytes {
    Bytes::from(vec![u8::try_from(number).unwrap() + b'a'; FRAME])
}

pub(super) fn whole() -> Bytes {
    (0..FRAMES).flat_map(frame).collect()
}

pub(super) fn backoff(delay: Duration) -> Backoff {
    Backoff::exponential(delay, delay.max(Duration::from_secs(1))).jitter(Jitter::None)
}

/// Counts the retries.
fn retries() -> (Arc<AtomicUsize>, impl Fn(&Event<'_>) + Send + Sync + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let observer = move |event: &Event<'_>| {
        if let EventKind::Retried { .. } = event.kind {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    };
    (count, observer)
}

type Outcome = Result<Response<Incoming>, Error<legacy::Error>>;

/// Sends the request through retries that follow each other quickly; how often it was retried.
async fn send<B>(request: Request<ReplayBody<B>>) -> (Outcome, usize)
where
    B: Body<Data = Bytes, Error: Into<buttress::BoxError>> + Send + Unpin + 'static,
{
    let (count, observer) = retries();
    let retry = RetryLayer::builder(RetryPolicy::new())
        .backoff(backoff(Duration::from_millis(5)))
        .observe(observer)
        .build();
    // The client tries some requests again by itself; this is about our retries.
    let client = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http();
    let stack = ServiceBuilder::new().layer(retry).layer(LiftLayer).service(client);
    let outcome = stack.oneshot(request).await;
    (outcome, count.load(Ordering::SeqCst))
}

fn post(uri: &str) -> http::request::Builder {
    Request::post(uri).header("idempotency-key", "\"7\"")
}

fn has_kind(error: &(dyn std::error::Error + 'static), kind: io::ErrorKind) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .any(|error| error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == kind))
}

#[tokio::test]
async fn a_streamed_post_cut_by_a_reset_arrives_as_it_was() {
    let server = Flaky::start(1).await;
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
    let body = ReplayBody::new(server.body(Some(trailers.clone())));
    let request = post(&server.uri()).header("trailer", "x-sum").body(body).unwrap();
    let (outcome, retries) = send(request).await;
    assert_eq!(outcome.unwrap().status(), 200);
    assert_eq!((retries, server.connections()), (1, 2));
    let [arrived] =
        <[Arrived; 1]>::try_from(std::mem::take(&mut *server.arrived.lock().unwrap())).unwrap();
    assert_eq!(arrived.body, whole());
    assert_eq!(arrived.trailers, Some(trailers));
    assert_eq!(arrived.headers["transfer-encoding"], "chunked");
    assert_eq!(arrived.headers["idempotency-key"], "\"7\"");
}

#[tokio::test]
async fn a_post_of_known_length_has_that_length_again() {
    let server = Flaky::start(1).await;
    let request = post(&server.uri()).body(ReplayBody::new(Full::new(whole()))).unwrap();
    let (outcome, retries) = send(request).await;
    assert_eq!((outcome.unwrap().status().as_u16(), retries), (200, 1));
    let arrived = server.arrived.lock().unwrap();
    assert_eq!(arrived[0].headers["content-length"], whole().len().to_string());
    assert_eq!(arrived[0].body, whole());
}

#[tokio::test]
async fn a_body_over_the_cap_is_not_sent_again_and_the_caller_gets_the_error() {
    let server = Flaky::start(1).await;
    let body = ReplayBody::new(server.body(None)).at_most(2 * FRAME);
    let (outcome, retries) = send(post(&server.uri()).body(body).unwrap()).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Service(_)));
    assert!(!error.to_string().contains("sent again"), "{error}");
    assert_eq!((retries, server.connections()), (0, 1));
}

#[tokio::test]
async fn a_post_without_a_key_is_not_sent_again_after_a_reset_but_is_if_it_was_refused() {
    let server = Flaky::start(1).await;
    let request = Request::post(server.uri()).body(ReplayBody::new(server.body(None))).unwrap();
    let (outcome, retries) = send(request).await;
    assert!(outcome.is_err());
    assert_eq!((retries, server.connections()), (0, 1));

    let (nobody, _taken) = net::nobody();
    let body = ReplayBody::new(Full::<Bytes>::from("text"));
    let request = Request::post(format!("http://{nobody}/")).body(body).unwrap();
    let (outcome, retries) = send(request).await;
    assert!(has_kind(&outcome.unwrap_err(), io::ErrorKind::ConnectionRefused));
    assert_eq!(retries, 2);
}

#[tokio::test]
async fn the_connection_of_a_discarded_answer_is_free_while_the_retry_waits() {
    let busy = async || (http::StatusCode::SERVICE_UNAVAILABLE, "busy");
    let app = Router::new().route("/busy", any(busy)).route("/well", any(async || "well"));
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let listener = axum::serve::ListenerExt::tap_io(
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        },
    );
    let address = axum::serve::Listener::local_addr(&listener).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let wait = Duration::from_secs(60);
    let retry = RetryLayer::builder(RetryPolicy::new())
        .backoff(Backoff::exponential(wait, wait).jitter(Jitter::None))
        .overload_base(wait)
        .build();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut stack = ServiceBuilder::new().layer(retry).layer(LiftLayer).service(client);
    let get = |path| {
        let body = ReplayBody::new(Empty::<Bytes>::new());
        Request::get(format!("http://{address}{path}")).body(body).unwrap()
    };
    let waiting = tokio::spawn(stack.ready().await.unwrap().call(get("/busy")));
    // The first attempt is over by then: it takes less than a millisecond.
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(!waiting.is_finished());
    let well = stack.ready().await.unwrap().call(get("/well")).await.unwrap();
    assert_eq!(net::collect(well).await.body(), "well");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    waiting.abort();
}
