//! A client that stops calling a server that is down, and comes back when the server does.
//!
//! The server answers, then fails for a second, then answers again. The client calls it every
//! 100 ms through a circuit breaker, a bulkhead and a timeout, and prints what it sees: successes,
//! failures, refusals that never touched the network, and the probes that close the circuit.
//!
//! ```text
//! cargo run --example hyper_client --features http
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use axum::{Router, body::Body, http::StatusCode, routing::get};
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::http::Statuses;
use buttress::observe::{Event, EventKind};
use buttress::timeout::TimeoutLayer;
use buttress::{Error, LiftLayer};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{net::TcpListener, time::Instant};
use tower::{Service, ServiceBuilder, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let uri: axum::http::Uri = format!("http://{}/", unreliable_server().await?).parse()?;

    let breaker = CircuitBreakerLayer::builder()
        .name("users")
        // Five failures in a row open the circuit, for 300 ms at first and longer each time.
        .consecutive_failures(5)
        .open_for(Duration::from_millis(300))
        .open_for_at_most(Duration::from_millis(600))
        // Without this, a 500 would be an answer like any other.
        .classify(Statuses)
        .observe(|event: &Event<'_>| {
            if let EventKind::Transitioned { from, to } = event.kind {
                println!("        circuit {}: {from} -> {to}", event.name);
            }
        })
        .build();

    // From outside in. The timeout is below the breaker, so that it counts as a failure there.
    let mut users = ServiceBuilder::new()
        .layer(breaker)
        .layer(BulkheadLayer::builder(32).name("users").build())
        .layer(TimeoutLayer::builder(Duration::from_millis(250)).name("users").build())
        // hyper's error cannot carry a refusal: this makes it `buttress::Error<hyper's error>`.
        .layer(LiftLayer)
        .service(Client::builder(TokioExecutor::new()).build_http::<Body>());

    let start = Instant::now();
    for _ in 0..30 {
        let request = axum::http::Request::get(&uri).body(Body::empty())?;
        let outcome = match users.ready().await?.call(request).await {
            Ok(response) => response.status().to_string(),
            Err(Error::Rejected(refusal)) => format!("not sent: {refusal}"),
            Err(Error::Service(error)) => format!("failed: {error}"),
        };
        println!("{:5.1}s  {outcome}", start.elapsed().as_secs_f64());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Fails from 0.3 to 1.3 seconds after its start.
async fn unreliable_server() -> Result<SocketAddr, std::io::Error> {
    let start = Instant::now();
    let answer = async move || match start.elapsed().as_millis() {
        300..1300 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().route("/", get(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
