//! `http::HoldBody` under a real server: a slot lasts as long as the response body.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use axum::{BoxError, Router};
use buttress::Class;
use buttress::bulkhead::{BulkheadLayer, Handle};
use buttress::http::{HoldBody, respond};
use buttress::observe::{Event, EventKind};
use bytes::Bytes;
use futures::{StreamExt, channel::mpsc};
use http_body_util::BodyExt;

use super::net;

type Chunks = mpsc::UnboundedSender<Result<Bytes, BoxError>>;

/// A server with one slot. Each call of `/stream` is answered with what is sent to its channel.
struct Server {
    address: SocketAddr,
    slot: Handle,
    streams: mpsc::UnboundedReceiver<Chunks>,
    ends: Arc<Mutex<Vec<EventKind>>>,
}

impl Server {
    async fn start() -> Self {
        let ends = Arc::new(Mutex::new(Vec::new()));
        let log = ends.clone();
        let layer = BulkheadLayer::builder(1)
            .observe(move |event: &Event<'_>| {
                if let EventKind::Settled { .. } | EventKind::Abandoned = event.kind {
                    log.lock().unwrap().push(event.kind);
                }
            })
            .build();
        let slot = layer.handle();
        let (announce, streams) = mpsc::unbounded();
        let stream = async move || {
            let (chunks, body) = mpsc::unbounded();
            announce.unbounded_send(chunks).unwrap();
            Response::new(Body::from_stream(body))
        };
        let sized = async || {
            let body = futures::stream::iter(["abc", "def"]).map(Ok::<_, Infallible>);
            ([("content-length", "6")], Body::from_stream(body))
        };
        let app = Router::new()
            .route("/stream", get(stream))
            .route("/sized", get(sized))
            .route("/small", get(async || "small"))
            .layer(respond(HoldBody::new(layer)));
        Self { address: net::serve(app).await, slot, streams, ends }
    }

    /// Starts a call of `/stream` and reads its first chunk.
    async fn open(&mut self) -> (Chunks, http::Response<hyper::body::Incoming>) {
        let request = net::request("GET", self.address, "/stream");
        let mut response = net::client().request(request).await.unwrap();
        let chunks = self.streams.next().await.unwrap();
        chunks.unbounded_send(Ok("first".into())).unwrap();
        let frame = response.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "first");
        (chunks, response)
    }

    async fn status(&self, path: &str) -> u16 {
        net::get(self.address, path).await.status().as_u16()
    }

    async fn freed(&self) {
        net::until("the slot is free", || self.slot.in_flight() == 0).await;
    }

    fn ends(&self) -> Vec<EventKind> {
        self.ends.lock().unwrap().clone()
    }

    fn classes(&self) -> Vec<Option<Class>> {
        let class = |kind| match kind {
            EventKind::Settled { class, .. } => Some(class),
            _ => None,
        };
        self.ends().into_iter().map(class).collect()
    }
}

#[tokio::test]
async fn the_slot_is_free_when_the_stream_has_ended_and_not_before() {
    let mut server = Server::start().await;
    let (chunks, response) = server.open().await;
    assert_eq!(server.slot.in_flight(), 1);
    assert_eq!(server.status("/small").await, 503);

    chunks.unbounded_send(Ok("last".into())).unwrap();
    assert_eq!(server.slot.in_flight(), 1);
    drop(chunks);
    assert_eq!(net::collect(response).await.body(), "last");
    server.freed().await;
    assert_eq!(server.status("/small").await, 200);
    assert_eq!(server.classes(), [Some(Class::Success), Some(Class::Success)]);
}

#[tokio::test]
async fn the_slot_is_free_when_the_client_has_gone() {
    let mut server = Server::start().await;
    let (chunks, response) = server.open().await;
    drop(response);
    server.freed().await;
    assert!(chunks.is_closed());
    assert_eq!(server.ends(), [EventKind::Abandoned]);
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_a_failure() {
    let mut server = Server::start().await;
    let (chunks, response) = server.open().await;
    chunks.unbounded_send(Err("disk".into())).unwrap();
    assert!(response.collect().await.is_err());
    server.freed().await;
    assert_eq!(server.classes(), [Some(Class::Transient)]);
}

#[tokio::test]
async fn bodies_whose_end_the_server_never_asks_for_are_successes() {
    let server = Server::start().await;
    for path in ["/small", "/sized"] {
        assert_eq!(server.status(path).await, 200);
        server.freed().await;
    }
    let head = net::request("HEAD", server.address, "/sized");
    assert_eq!(net::client().request(head).await.unwrap().status(), 200);
    server.freed().await;
    assert_eq!(server.classes(), [Some(Class::Success); 3]);
}
