//! An axum server that says "not now" instead of drowning.
//!
//! Three layers protect the routes: a bulkhead (at most four requests at a time), a queue in front
//! of it (four more may wait, for at most 150 ms), and a timeout. The example starts the server on
//! loopback, sends it twelve slow requests at once, and prints what each of them got.
//!
//! ```text
//! cargo run --example axum_server --features http
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::{Router, routing::get};
use buttress::bulkhead::BulkheadLayer;
use buttress::http::respond;
use buttress::timeout::TimeoutLayer;
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower::ServiceBuilder;

fn app() -> Router {
    let bulkhead = BulkheadLayer::builder(4)
        .name("reports")
        .queue(4)
        .max_wait(Duration::from_millis(150))
        .build();

    // The state of a layer is in the layer value, and axum calls it for every route: both routes
    // share the four slots. Routes that must not share get layers of their own; see the example
    // `route_limits`.
    Router::new().route("/slow", get(slow)).route("/stuck", get(stuck)).layer(respond(
        // From outside in: first the limit, then the time that one admitted request may take.
        ServiceBuilder::new().layer(bulkhead).layer(TimeoutLayer::new(Duration::from_millis(300))),
    ))
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(100)).await;
    "here is your report"
}

async fn stuck() -> &'static str {
    std::future::pending().await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app()).await });

    println!("twelve requests at once: four run, four wait, four are refused");
    let calls: Vec<_> = (0..12).map(|_| tokio::spawn(ask(address, "/slow"))).collect();
    for call in calls {
        println!("  {}", call.await??);
    }

    println!("a handler that never answers is cut off");
    println!("  {}", ask(address, "/stuck").await?);
    Ok(())
}

/// The status, what it says about coming back, and the body.
async fn ask(
    address: SocketAddr,
    path: &str,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let response = client.get(format!("http://{address}{path}").parse()?).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(format!(
        "{} retry-after: {:?} {}",
        head.status.as_u16(),
        head.headers.get("retry-after"),
        String::from_utf8_lossy(&body)
    ))
}
