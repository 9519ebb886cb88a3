//! Limits per route: what is shared, and what is not.
//!
//! The rule is short. A layer value is one limit, whatever number of routes it is laid over;
//! routes that must not share get two values. Here exports and uploads share two slots, search has
//! ten of its own, and a limit around everything protects the process.
//!
//! ```text
//! cargo run --example route_limits --features http
//! ```

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use axum::{Router, routing::get};
use buttress::Rejected;
use buttress::bulkhead::BulkheadLayer;
use buttress::http::{HoldBody, respond};
use tokio::sync::Semaphore;
use tower::ServiceExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Infallible> {
    let heavy = BulkheadLayer::builder(2).name("heavy").build();
    let search = BulkheadLayer::builder(10).name("search").build();
    let everything = BulkheadLayer::builder(11).name("everything").build();
    // Handles read the limits while they are at work, and can resize them.
    let (heavy_now, search_now) = (heavy.handle(), search.handle());

    // Requests stay in their handler until this lets them go.
    let gate = Arc::new(Semaphore::new(0));
    let wait = {
        let gate = gate.clone();
        async move || drop(gate.acquire().await)
    };

    let app = Router::new()
        // One value, cloned: one limit. An export streams, so it keeps its slot until its body
        // has been sent, and not only until its head is there.
        .route("/export", get(wait.clone()).layer(respond(HoldBody::new(heavy.clone()))))
        .route("/upload", get(wait.clone()).layer(respond(heavy)))
        .route("/search", get(wait).layer(respond(search)))
        // Around all of them, and around the 404.
        .layer(respond(everything));

    let calls = [("/export", 2), ("/upload", 1), ("/search", 10)];
    let mut running = Vec::new();
    for (path, count) in calls {
        for _ in 0..count {
            running.push((path, tokio::spawn(ask(app.clone(), path))));
        }
    }
    tokio::task::yield_now().await;
    println!("heavy: {} of {} in flight", heavy_now.in_flight(), heavy_now.limit());
    println!("search: {} of {} in flight", search_now.in_flight(), search_now.limit());

    gate.close();
    for (path, call) in running {
        let response = call.await.expect("no handler panics")?;
        // Inside this process the response says which limit it was. Outside it does not.
        match response.extensions().get::<Rejected>() {
            Some(refusal) => println!("{path:8} {} {refusal}", response.status()),
            None => println!("{path:8} {}", response.status()),
        }
    }
    Ok(())
}

/// A router is a service: calling it directly leaves the sockets out.
async fn ask(app: Router, path: &'static str) -> Result<Response<Body>, Infallible> {
    app.oneshot(Request::get(path).body(Body::empty()).expect("the paths are valid")).await
}
