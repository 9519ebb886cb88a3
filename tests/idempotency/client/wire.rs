//! A real client of hyper against a real server of axum.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::post};
use buttress::LiftLayer;
use buttress::http::{REFUSAL, ReplayBody};
use buttress::idempotency::{KeyLayer, RetryPolicy};
use buttress::retry::{Backoff, RetryLayer};
use http::Request;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};

use super::{Seen, is_quoted_uuid};

/// Takes the order at the first request with a key, and loses the answer; is still busy with it at
/// the second; knows it at the third.
async fn shop(seen: Seen) -> (SocketAddr, Arc<Mutex<HashMap<String, u32>>>) {
    let orders = Arc::new(Mutex::new(HashMap::new()));
    let book = orders.clone();
    let place = async move |headers: HeaderMap| -> Response {
        seen.note(&headers);
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        let mut book = book.lock().unwrap();
        let asked = book.entry(key).or_insert(0);
        *asked += 1;
        match asked {
            1 => StatusCode::BAD_GATEWAY.into_response(),
            2 => (StatusCode::CONFLICT, [(REFUSAL, "in_progress")]).into_response(),
            _ => "placed".into_response(),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/orders", post(place));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, orders)
}

#[tokio::test]
async fn over_the_wire_each_order_has_one_key_in_both_orders_of_the_layers() {
    let seen = Seen::default();
    let (address, orders) = shop(seen.clone()).await;
    let backoff = Backoff::exponential(Duration::from_millis(1), Duration::from_millis(5));
    let retry =
        || RetryLayer::builder(RetryPolicy::default()).max_attempts(4).backoff(backoff).build();
    let transport = || {
        ServiceBuilder::new()
            .layer(LiftLayer)
            .service(Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Body>>())
    };
    let request = || {
        let order = Request::post(format!("http://{address}/orders")).body(Body::from("tea"));
        ReplayBody::wrap(order.unwrap())
    };
    let outside = ServiceBuilder::new().layer(KeyLayer::new()).layer(retry()).service(transport());
    let inside = ServiceBuilder::new().layer(retry()).layer(KeyLayer::new()).service(transport());
    assert_eq!(outside.oneshot(request()).await.unwrap().status(), 200);
    assert_eq!(inside.oneshot(request()).await.unwrap().status(), 200);

    let keys = seen.keys();
    assert_eq!(keys.len(), 6);
    assert!(keys.iter().all(|key| is_quoted_uuid(key)), "{keys:?}");
    assert_eq!(orders.lock().unwrap().values().copied().collect::<Vec<_>>(), [3, 3]);
}
