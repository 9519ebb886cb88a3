//! `http::respond` in an axum `Router`.

use std::sync::Arc;
use std::time::Duration;

use axum::error_handling::HandleErrorLayer;
use axum::routing::get;
use axum::{BoxError, Router};
use buttress::bulkhead::BulkheadLayer;
use buttress::http::respond;
use buttress::timeout::TimeoutLayer;
use buttress::{Reason, Rejected};
use http::{Request, StatusCode};
use tokio::sync::Notify;
use tower::{ServiceBuilder, ServiceExt};

use super::net;

fn request(path: &str) -> Request<axum::body::Body> {
    Request::builder().uri(path).body(axum::body::Body::empty()).unwrap()
}

#[tokio::test]
async fn one_layer_value_is_one_limit_over_eight_routes() {
    let bulkhead = BulkheadLayer::new(1);
    let handle = bulkhead.handle();
    let open = Arc::new(Notify::new());
    let app = (0..8).fold(Router::new(), |app, n| {
        let open = open.clone();
        app.route(&format!("/{n}"), get(async move || open.notified().await))
    });
    let address = net::serve(app.layer(respond(bulkhead))).await;

    let first = tokio::spawn(async move { net::get(address, "/0").await.status() });
    net::until("the first call is in", || handle.in_flight() == 1).await;
    for n in 0..8 {
        let response = net::get(address, &format!("/{n}")).await;
        assert_eq!(response.status(), 503, "/{n}");
    }
    open.notify_one();
    assert_eq!(first.await.unwrap(), 200);

    for n in 0..8 {
        open.notify_one();
        assert_eq!(net::get(address, &format!("/{n}")).await.status(), 200, "/{n}");
    }
    assert_eq!(handle.in_flight(), 0);
}

#[tokio::test]
async fn a_refusal_on_the_wire_byte_by_byte() {
    let layer = BulkheadLayer::builder(0).name("tenant-7").build();
    let app = Router::new().route("/", get(async || "never")).layer(respond(layer));
    let response = net::get(net::serve(app).await, "/").await;

    let document = concat!(
        r#"{"type":"urn:problem-type:buttress:bulkhead_full","title":"bulkhead full","#,
        r#""status":503,"code":"bulkhead_full"}"#
    );
    assert_eq!(response.status(), 503);
    assert_eq!(response.body(), document);
    let mut headers = response.headers().clone();
    assert!(headers.remove("date").is_some());
    let headers: Vec<_> = headers.iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
    assert_eq!(
        headers,
        [
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
            ("retry-after", "1"),
            ("buttress-refusal", "bulkhead_full"),
            ("content-length", &*document.len().to_string()),
        ]
    );
}

#[tokio::test]
async fn a_head_request_is_refused_without_a_body() {
    let app = Router::new().route("/", get(async || "")).layer(respond(BulkheadLayer::new(0)));
    let address = net::serve(app).await;
    let response = net::client().request(net::request("HEAD", address, "/")).await.unwrap();
    let response = net::collect(response).await;
    assert_eq!(response.status(), 503);
    assert!(response.body().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stack_of_several_layers_answers_for_the_one_that_refused() {
    let sleeping = get(async || tokio::time::sleep(Duration::from_secs(60)).await);
    let timeout = TimeoutLayer::new(Duration::from_secs(1));
    let builder = ServiceBuilder::new().layer(BulkheadLayer::new(9)).layer(timeout.clone());
    let by_builder = Router::new().route("/", sleeping.clone()).layer(respond(builder));
    let tuple = (BulkheadLayer::new(9), timeout);
    let by_tuple = Router::new().route("/", sleeping).layer(respond(tuple));

    for app in [by_builder, by_tuple] {
        let response = app.oneshot(request("/")).await.unwrap();
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(response.headers().get("retry-after"), None);
        let rejected = response.extensions().get::<Rejected>().unwrap();
        assert_eq!(rejected.reason(), Reason::TimedOut);
    }
}

#[tokio::test]
async fn a_layer_can_be_switched_off_in_the_stack() {
    for (limit, status) in [(None, 200), (Some(0), 503)] {
        let stack = tower::util::option_layer(limit.map(BulkheadLayer::new));
        let app = Router::new().route("/", get(async || "")).layer(respond(stack));
        assert_eq!(app.oneshot(request("/")).await.unwrap().status(), status, "{limit:?}");
    }
}

#[tokio::test]
async fn a_buffer_may_stand_in_the_stack() {
    let stack = ServiceBuilder::new().buffer::<Request<_>>(8).layer(BulkheadLayer::new(0));
    let app = Router::new().route("/", get(async || "")).layer(
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(async |_: BoxError| StatusCode::INTERNAL_SERVER_ERROR))
            .layer(respond(stack)),
    );
    let response = app.oneshot(request("/")).await.unwrap();
    assert_eq!(response.headers()["buttress-refusal"], "bulkhead_full");
}

#[tokio::test]
async fn what_the_handler_answers_passes_untouched() {
    let handler = async || (StatusCode::IM_A_TEAPOT, [("x-own", "1")], "short and stout");
    let app = Router::new().route("/", get(handler)).layer(respond(BulkheadLayer::new(1)));
    let response = net::get(net::serve(app).await, "/").await;
    assert_eq!(response.status(), 418);
    assert_eq!(response.headers()["x-own"], "1");
    assert_eq!(response.headers()["content-length"], "15");
    assert!(!response.headers().contains_key("buttress-refusal"));
    assert_eq!(response.body(), "short and stout");
}
