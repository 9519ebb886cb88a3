//! A client that gives each order a key, and sends it again until it knows what came of it.
//!
//! The shop places the order at the first attempt, and its answer gets lost: a bad gateway. At the
//! second it is still busy with that order, and says so: 409, `in_progress`, after a second. At the
//! third it answers with the order that it has. One key, three attempts, one order. The key is set
//! outside the retry; an order that has to survive a restart brings a key of its own.
//!
//! ```text
//! cargo run --example idempotent_client --features http
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::post};
use buttress::LiftLayer;
use buttress::http::{REFUSAL, ReplayBody};
use buttress::idempotency::{IdempotencyKey, KeyLayer, RetryPolicy};
use buttress::retry::{Backoff, RetryLayer};
use buttress::timeout::TimeoutLayer;
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let orders = Orders::default();
    let uri = format!("http://{}/orders", shop(orders.clone()).await?);

    let retry = RetryLayer::builder(RetryPolicy::default())
        .max_attempts(4)
        .backoff(Backoff::exponential(Duration::from_millis(100), Duration::from_secs(5)))
        .build();
    // From outside in. The other way round works as well: the policy of the retry has set the key
    // before the first attempt.
    let mut client = ServiceBuilder::new()
        .layer(KeyLayer::new())
        .layer(retry)
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        .layer(LiftLayer)
        .service(Client::builder(TokioExecutor::new()).build_http());

    let request =
        |order: &'static str| Request::post(&uri).body(ReplayBody::new(Body::from(order)));
    let fresh = request("two pots of tea")?;
    // Written down together with the job, before the first attempt.
    let mut job = request("a pound of coffee")?;
    job.extensions_mut().insert(IdempotencyKey::new("job-8712")?);

    for request in [fresh, job] {
        let response = client.ready().await?.call(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        println!("client  {status}: {}\n", String::from_utf8_lossy(&body));
    }
    for (key, Order { item, asked }) in &*orders.lock().expect("no panic while it is locked") {
        println!("shop    {key}: asked {asked} times, placed once: {item}");
    }
    Ok(())
}

/// What the shop knows, by key.
type Orders = Arc<Mutex<BTreeMap<String, Order>>>;

struct Order {
    item: String,
    asked: u32,
}

async fn shop(orders: Orders) -> Result<SocketAddr, std::io::Error> {
    let place = async move |headers: HeaderMap, body: Bytes| -> Response {
        let Some(key) = headers.get("idempotency-key").and_then(|key| key.to_str().ok()) else {
            return (StatusCode::BAD_REQUEST, "an order needs a key").into_response();
        };
        let mut orders = orders.lock().expect("no panic while it is locked");
        let order = orders.entry(key.to_owned()).or_insert_with(|| {
            let item = String::from_utf8_lossy(&body).into_owned();
            println!("shop    places {item}");
            Order { item, asked: 0 }
        });
        order.asked += 1;
        println!("shop    attempt {} with key {key}", order.asked);
        match order.asked {
            1 => StatusCode::BAD_GATEWAY.into_response(),
            2 => {
                let busy = [(REFUSAL, "in_progress"), (RETRY_AFTER, "1")];
                (StatusCode::CONFLICT, busy).into_response()
            }
            _ => format!("{} is on its way", order.item).into_response(),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().route("/orders", post(place));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
