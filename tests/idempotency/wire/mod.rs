//! Requests over real sockets: what is on the wire is what a duplicate gets.

mod clients;
mod messages;
mod streams;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use buttress::idempotency::{Handle, IdempotencyLayer, MemoryStore};
use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// A server whose handler waits until it may go on.
#[derive(Clone)]
struct Shop {
    started: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
    handle: Handle,
    address: SocketAddr,
}

impl Shop {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let layer = IdempotencyLayer::builder(MemoryStore::builder().single_instance().build());
        let layer = layer.unscoped().build();
        let shop = Self {
            started: Arc::default(),
            ended: Arc::default(),
            permits: Arc::new(Semaphore::new(0)),
            handle: layer.handle(),
            address,
        };
        let inside = shop.clone();
        let order = async move |body: Body| inside.order(body).await;
        let app = Router::new()
            .route("/orders", post(order))
            .route("/streams", post(streamed))
            .layer(layer);
        tokio::spawn(serve(listener, app));
        shop
    }

    async fn order(&self, body: Body) -> Response {
        let run = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        let body = body.collect().await.unwrap();
        let sum = body.trailers().and_then(|trailers| trailers.get("x-sum")).cloned();
        let data = body.to_bytes();
        self.permits.acquire().await.unwrap().forget();
        self.ended.fetch_add(1, Ordering::SeqCst);
        let mut headers = HeaderMap::new();
        headers.append("x-twice", HeaderValue::from_static("1"));
        headers.append("x-twice", HeaderValue::from_static("2"));
        headers.insert("location", HeaderValue::from_str(&format!("/orders/{run}")).unwrap());
        headers.extend(
            sum.map(|sum| ("x-sum".parse().unwrap(), sum))
                .into_iter()
                .map(|(name, value): (http::HeaderName, HeaderValue)| (Some(name), value)),
        );
        (StatusCode::CREATED, headers, data).into_response()
    }

    /// So many handlers may come to their ends.
    fn go_on(&self, handlers: usize) {
        self.permits.add_permits(handlers);
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Everything that a server of HTTP/1.1 says to this, on a connection of its own.
    async fn says_to(&self, request: &str) -> String {
        let mut socket = self.connect().await;
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        socket.read_to_end(&mut said).await.unwrap();
        String::from_utf8(said).unwrap()
    }

    async fn until_started(&self, runs: usize) {
        until("the handler starts", || self.started.load(Ordering::SeqCst) == runs).await;
    }
}

/// An answer in three frames and with trailers, of no declared length.
async fn streamed() -> Response {
    let sum = [("x-sum".parse().unwrap(), HeaderValue::from_static("7"))];
    let data = ["one", "two", "three"].map(|text| Frame::data(Bytes::from_static(text.as_bytes())));
    let frames = data.into_iter().chain([Frame::trailers(sum.into_iter().collect())]);
    let body = StreamBody::new(stream::iter(frames.map(Ok::<_, std::io::Error>)));
    ([("trailer", "x-sum")], Body::new(body)).into_response()
}

/// HTTP/1.1 and, for those who begin with it, HTTP/2.
async fn serve(listener: TcpListener, app: Router) {
    use hyper::server::conn::{http1, http2};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let app = app.clone();
        let service = hyper::service::service_fn(move |request| app.clone().oneshot(request));
        tokio::spawn(async move {
            let mut first = [0; 3];
            while socket.peek(&mut first).await.unwrap_or(0) == 1 {}
            // What becomes of the connection is what these tests are about.
            if first == *b"PRI" {
                let server = http2::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(socket), service).await);
            } else {
                drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await);
            }
        });
    }
}

fn order(key: &str) -> String {
    format!(
        "POST /orders HTTP/1.1\r\nhost: shop\r\nidempotency-key: {key}\r\ncontent-length: 3\r\n\
         connection: close\r\n\r\ntea"
    )
}

/// What has been said, without the lines that differ from one exchange to the next.
fn lasting(said: &str) -> String {
    let of_exchange = |line: &&str| {
        let line = line.to_ascii_lowercase();
        !line.starts_with("date: ") && !line.starts_with("idempotency-replayed: ")
    };
    said.split_inclusive("\r\n").filter(of_exchange).collect()
}

fn is_replay(said: &str) -> bool {
    said.contains("idempotency-replayed: true\r\n")
}

/// Waits for what another task does on the real clock.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), patience).await.expect(what);
}
