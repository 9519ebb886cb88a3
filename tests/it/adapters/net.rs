//! Servers and clients on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::{TcpListener, TcpSocket};

pub(super) type HyperClient = Client<HttpConnector, Body>;

/// Serves `app` until the runtime ends.
pub(super) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// An address where nobody listens, for as long as the socket keeps it from others.
pub(super) fn nobody() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    (socket.local_addr().unwrap(), socket)
}

pub(super) fn client() -> HyperClient {
    Client::builder(TokioExecutor::new()).build_http()
}

pub(super) fn request(method: &str, address: SocketAddr, path: &str) -> Request<Body> {
    let uri = format!("http://{address}{path}");
    Request::builder().method(method).uri(uri).body(Body::empty()).unwrap()
}

/// A GET, read to its end, over a connection of its own.
pub(super) async fn get(address: SocketAddr, path: &str) -> Response<Bytes> {
    collect(client().request(request("GET", address, path)).await.unwrap()).await
}

pub(super) async fn collect<B>(response: Response<B>) -> Response<Bytes>
where
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

/// Waits for what another task does on the real clock; fails the test if it takes 10 seconds.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), patience).await.expect(what);
}
