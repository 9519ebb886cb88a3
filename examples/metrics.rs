//! What the layers tell Prometheus.
//!
//! A server calls a payment provider through three layers that report to a `MetricsObserver`, and
//! shows its metrics on `/metrics`. The example sends it some traffic while the provider fails,
//! then reads `/metrics` as Prometheus would.
//!
//! ```text
//! cargo run --example metrics --features http,metrics
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::{Router, routing::get};
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::observe::MetricsObserver;
use buttress::timeout::TimeoutLayer;
use buttress::{BoxError, http::respond};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};

fn app(metrics: &MetricsObserver) -> Router {
    // The `name` becomes a label. Keep it one of a few: never a user, a key or a path.
    let payments = ServiceBuilder::new()
        .layer(
            CircuitBreakerLayer::builder()
                .name("payments")
                .consecutive_failures(5)
                .observe(metrics.clone())
                .build(),
        )
        .layer(
            TimeoutLayer::builder(Duration::from_millis(50))
                .name("payments")
                .observe(metrics.clone())
                .build(),
        )
        .service_fn(provider);

    let pay = async move |number: axum::extract::Path<u32>| match payments.oneshot(number.0).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::BAD_GATEWAY,
    };
    let limit = BulkheadLayer::builder(16).name("http").observe(metrics.clone()).build();
    Router::new().route("/pay/{number}", get(pay)).layer(respond(limit))
}

/// Well at first, then stuck.
async fn provider(number: u32) -> Result<(), BoxError> {
    if number >= 10 { std::future::pending().await } else { Ok(()) }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Buckets that suit the layers: from a millisecond to ten seconds.
    let buckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
    let recorder = PrometheusBuilder::new().set_buckets(&buckets)?.install_recorder()?;
    MetricsObserver::describe();

    let metrics = MetricsObserver::new();
    let app = app(&metrics).route("/metrics", get(async move || recorder.render()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });

    for number in 0..20 {
        fetch(address, &format!("/pay/{number}")).await?;
    }
    let text = fetch(address, "/metrics").await?;
    // The buckets are left out for brevity.
    for line in String::from_utf8_lossy(&text).lines().filter(|line| !line.contains("_bucket")) {
        println!("{line}");
    }
    Ok(())
}

async fn fetch(address: SocketAddr, path: &str) -> Result<Bytes, BoxError> {
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let response = client.get(format!("http://{address}{path}").parse()?).await?;
    Ok(response.into_body().collect().await?.to_bytes())
}
