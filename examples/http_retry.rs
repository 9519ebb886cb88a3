//! A client that sends a POST again, and a server on which it still takes effect once.
//!
//! The server places the order at the first attempt, and its answer gets lost. At the second it
//! asks for a second's patience. At the third it knows the idempotency key, and answers with the
//! order that it has. The body is a stream, which is kept while it is sent for the first time.
//!
//! ```text
//! cargo run --example http_retry --features http
//! ```

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::post};
use buttress::http::{ReplayBody, RetryPolicy};
use buttress::observe::{Event, EventKind};
use buttress::retry::{Attempt, Backoff, RetryLayer};
use buttress::timeout::TimeoutLayer;
use buttress::{Error, LiftLayer};
use futures::stream;
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let uri = format!("http://{}/orders", forgetful_server().await?);

    let retry = RetryLayer::builder(
        // Without a key, a POST is sent again only if it cannot have reached the server.
        RetryPolicy::new().stamp_idempotency_keys(),
    )
    .name("orders")
    .max_attempts(4)
    .backoff(Backoff::exponential(Duration::from_millis(100), Duration::from_secs(5)))
    .observe(|event: &Event<'_>| match event.kind {
        EventKind::Retried { attempt, delay } => {
            println!("client  attempt {attempt}, after {delay:.0?}");
        }
        EventKind::Withheld(why) => println!("client  not sent again: {why:?}"),
        _ => {}
    })
    .build();

    // From outside in. The timeout is inside the retry, so that it bounds each attempt.
    let orders = ServiceBuilder::new()
        .map_request(ReplayBody::<Body>::wrap)
        .layer(retry)
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        .layer(LiftLayer)
        .map_request(|request: Request<ReplayBody<Body>>| {
            if let Some(attempt) = request.extensions().get::<Attempt>() {
                println!("client  sends attempt {attempt}");
            }
            request
        })
        .service(Client::builder(TokioExecutor::new()).build_http());

    let order = stream::iter(["two pots ", "of green ", "tea"].map(Ok::<_, Infallible>));
    let request = Request::post(uri).body(Body::from_stream(order))?;
    match orders.oneshot(request).await {
        Ok(response) => {
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            println!("client  {status}: {}", String::from_utf8_lossy(&body));
        }
        Err(Error::Rejected(refusal)) => println!("client  no answer: {refusal}"),
        Err(Error::Service(error)) => println!("client  failed: {error}"),
    }
    Ok(())
}

/// What the server knows of a key: the order, and how often it was asked for it.
type Orders = Arc<Mutex<HashMap<String, (String, u32)>>>;

async fn forgetful_server() -> Result<SocketAddr, std::io::Error> {
    let orders = Orders::default();
    let place = async move |headers: HeaderMap, body: Bytes| -> Response {
        let Some(key) = headers.get("idempotency-key").and_then(|key| key.to_str().ok()) else {
            return (StatusCode::BAD_REQUEST, "an order needs a key").into_response();
        };
        let mut orders = orders.lock().expect("no panic while it is locked");
        let number = orders.len() + 1;
        let (order, asked) = orders.entry(key.to_owned()).or_insert_with(|| {
            println!("server  places order {number}: {}", String::from_utf8_lossy(&body));
            (format!("order {number} is placed"), 0)
        });
        *asked += 1;
        match asked {
            1 => StatusCode::BAD_GATEWAY.into_response(),
            2 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]).into_response(),
            _ => order.clone().into_response(),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().route("/orders", post(place));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
