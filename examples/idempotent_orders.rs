//! An axum server on which an order that is sent again is placed once.
//!
//! Customers sign in, and send each order with a key. The example starts the server on loopback and
//! sends it what clients send: the same order twice, another order with the same key, the same
//! order twice at once, and orders that fail before their effects begin and after.
//!
//! ```text
//! cargo run --example idempotent_orders --features axum
//! ```

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, routing::post};
use buttress::idempotency::{Context, IdempotencyKey, IdempotencyLayer, KeyLayer};
use buttress::idempotency::{MemoryStore, Scope};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Who is signed in.
#[derive(Clone)]
struct Customer(String);

/// The orders that were placed.
type Orders = Arc<Mutex<Vec<String>>>;

fn app(orders: Orders) -> Router {
    let keys = IdempotencyLayer::builder(MemoryStore::builder().single_instance().build())
        .name("orders")
        // Whose key it is. What says so has to be there already.
        .scope(|head| head.extensions.get().map(|Customer(name)| Scope::new(name)))
        .require_key(true)
        .build();
    Router::new().route("/orders", post(place)).with_state(orders).layer(
        // From outside in: who it is, then whether it has been done.
        ServiceBuilder::new().layer(from_fn(sign_in)).layer(keys),
    )
}

/// Stands for whatever checks credentials.
async fn sign_in(mut request: Request, next: Next) -> Response {
    let credentials = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(name) = credentials.and_then(|value| value.strip_prefix("Bearer token-of-")) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let customer = Customer(name.to_owned());
    request.extensions_mut().insert(customer);
    next.run(request).await
}

async fn place(
    State(orders): State<Orders>,
    Extension(Customer(name)): Extension<Customer>,
    context: Context,
    order: String,
) -> Result<(StatusCode, String), StatusCode> {
    // So far nothing has happened: a failure forgets the key, and the next attempt runs.
    if order == "coffee" {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    // From here on nothing runs again, whatever becomes of this. If the claim is lost or the store
    // is not there to say so, there is no effect.
    context.begin_effects().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let number = {
        let mut orders = orders.lock().expect("no panic while it is locked");
        orders.push(format!("{order} for {name}"));
        orders.len()
    };
    // The order is placed, and then something breaks.
    if order == "a cracked pot" {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    Ok((StatusCode::CREATED, format!("order {number}: {order} for {name}")))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    let orders = Orders::default();
    let app = app(orders.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });

    println!("the same order twice: the second answer is the first one again");
    send(server, "ada", "key-1", "green tea").await?;
    send(server, "ada", "key-1", "green tea").await?;
    println!("another order with that key is a mistake of the client");
    send(server, "ada", "key-1", "black tea").await?;
    println!("another customer's key is another key");
    send(server, "ben", "key-1", "green tea").await?;
    println!("twice at once: one of them runs, the other is told to come back");
    let (one, two) = tokio::join!(
        send(server, "ada", "key-2", "white tea"),
        send(server, "ada", "key-2", "white tea")
    );
    one.and(two)?;
    println!("it fails before its effects begin: the next attempt runs, and may do better");
    send(server, "ada", "key-3", "coffee").await?;
    send(server, "ada", "key-3", "tea after all").await?;
    println!("it fails after that: nobody knows what came of it, and nothing runs again");
    send(server, "ada", "key-4", "a cracked pot").await?;
    send(server, "ada", "key-4", "a cracked pot").await?;

    println!("the orders:");
    for order in &*orders.lock().expect("no panic while it is locked") {
        println!("  {order}");
    }
    Ok(())
}

/// Sends one attempt, and prints what came of it.
async fn send(
    server: SocketAddr,
    customer: &str,
    key: &'static str,
    order: &'static str,
) -> Result<(), BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    // Writes the key of the request's extensions, or a fresh one where there is none.
    let client = ServiceBuilder::new().layer(KeyLayer::new()).service(client);
    let request = Request::post(format!("http://{server}/orders"))
        .header(AUTHORIZATION, format!("Bearer token-of-{customer}"))
        .extension(IdempotencyKey::new(key)?)
        .body(Body::from(order))?;
    let (head, body) = client.oneshot(request).await?.into_parts();
    let header = |name| head.headers.get(name).map_or("-", |value| value.to_str().unwrap_or("?"));
    let said = match header("buttress-refusal") {
        "-" => String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned(),
        code => format!("refused: {code}, retry-after: {}", header("retry-after")),
    };
    let replayed = header("idempotency-replayed");
    println!("  {} {said} (replayed: {replayed})", head.status.as_u16());
    Ok(())
}
