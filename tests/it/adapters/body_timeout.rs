//! `http::BodyTimeoutLayer` under a real server and around a real client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{BoxError, Router};
use buttress::http::{BodyTimeoutLayer, TimeoutBody};
use buttress::observe::{Event, EventKind};
use buttress::{Class, LiftLayer, Reason, Rejected};
use bytes::Bytes;
use futures::{StreamExt, channel::mpsc, stream};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt};

use super::net;

const IDLE: Duration = Duration::from_millis(150);

type Ends = Arc<Mutex<Vec<EventKind>>>;

fn layer(ends: &Ends) -> BodyTimeoutLayer {
    let log = ends.clone();
    BodyTimeoutLayer::builder()
        .idle(IDLE)
        .observe(move |event: &Event<'_>| {
            if !matches!(event.kind, EventKind::Admitted { .. }) {
                log.lock().unwrap().push(event.kind);
            }
        })
        .build()
}

/// Sends its first chunk, and then nothing for ever; or megabytes as fast as they are read.
fn routes() -> Router {
    let stalled = async || {
        let first = stream::iter([Ok::<_, BoxError>(Bytes::from_static(b"first"))]);
        Response::new(Body::from_stream(first.chain(stream::pending())))
    };
    let large = async || {
        let chunks = stream::repeat_with(|| Ok::<_, BoxError>(Bytes::from(vec![7; 64 << 10])));
        Response::new(Body::from_stream(chunks.take(CHUNKS)))
    };
    let upload = async |request: Request| match to_bytes(request.into_body(), usize::MAX).await {
        Ok(bytes) => bytes.len().to_string(),
        Err(error) => format!("{:?}", Rejected::find(&error).map(Rejected::reason)),
    };
    Router::new()
        .route("/stalled", get(stalled))
        .route("/large", get(large))
        .route("/upload", post(upload))
}

const CHUNKS: usize = 400;

async fn open(address: SocketAddr, path: &str) -> http::Response<hyper::body::Incoming> {
    net::client().request(net::request("GET", address, path)).await.unwrap()
}

#[tokio::test]
async fn a_body_that_stalls_is_ended_and_the_client_sees_that_it_is_not_whole() {
    let ends = Ends::default();
    let address = net::serve(routes().layer(layer(&ends))).await;
    let start = Instant::now();
    let mut response = open(address, "/stalled").await;
    assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    assert!(response.frame().await.unwrap().is_err());
    assert!(start.elapsed() >= IDLE);
    assert_eq!(*ends.lock().unwrap(), [EventKind::Rejected(Reason::TimedOut)]);
}

#[tokio::test]
async fn a_slow_reader_is_not_ended() {
    let ends = Ends::default();
    let address = net::serve(routes().layer(layer(&ends))).await;
    let mut response = open(address, "/large").await;
    let mut length = 0;
    for _ in 0..3 {
        // Long enough for every buffer in between to be full.
        sleep(2 * IDLE).await;
        length += response.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
    assert!(ends.lock().unwrap().is_empty(), "it is more than the buffers hold");
    length += response.into_body().collect().await.unwrap().to_bytes().len();
    assert_eq!(length, CHUNKS * (64 << 10));
    net::until("the body has ended", || !ends.lock().unwrap().is_empty()).await;
    let ended = ends.lock().unwrap()[0];
    assert!(matches!(ended, EventKind::Settled { class: Class::Success, .. }), "{ended:?}");
}

#[tokio::test]
async fn around_a_client_it_ends_the_body_of_a_server_that_stalls() {
    let ends = Ends::default();
    let address = net::serve(routes()).await;
    let client = ServiceBuilder::new().layer(layer(&ends)).layer(LiftLayer).service(net::client());
    let response = client.oneshot(net::request("GET", address, "/stalled")).await.unwrap();
    let mut body = Box::pin(response.into_body());
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(Rejected::find(&*error).unwrap().reason(), Reason::TimedOut);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn the_body_of_a_request_is_wrapped_by_hand() {
    let bounded =
        |request: Request| request.map(|body| Body::new(TimeoutBody::new(body).idle(IDLE)));
    let app = routes().layer(ServiceBuilder::new().map_request(bounded));
    let address = net::serve(app).await;
    let upload = |body| {
        let mut request = net::request("POST", address, "/upload");
        *request.body_mut() = body;
        net::client().request(request)
    };
    let whole = upload(Body::from("abc")).await.unwrap();
    assert_eq!(net::collect(whole).await.body(), "3");
    let (chunks, body) = mpsc::unbounded::<Result<Bytes, BoxError>>();
    chunks.unbounded_send(Ok("ab".into())).unwrap();
    let stalled = upload(Body::from_stream(body)).await.unwrap();
    assert_eq!(net::collect(stalled).await.body(), "Some(TimedOut)");
}
