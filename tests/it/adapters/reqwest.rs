//! Retries over reqwest's client: two lines make it a service over `http`'s types.

use std::time::Duration;

use buttress::LiftLayer;
use buttress::http::{ReplayBody, RetryPolicy};
use buttress::retry::RetryLayer;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceBuilder, ServiceExt};

use super::http_retry::{Flaky, backoff, whole};
use super::net;

fn retry() -> RetryLayer<RetryPolicy> {
    let policy = RetryPolicy::new().stamp_idempotency_keys();
    RetryLayer::builder(policy).backoff(backoff(Duration::from_millis(5))).build()
}

fn into_reqwest<B>(request: Request<B>) -> reqwest::Request
where
    B: http_body::Body<Data = Bytes, Error: Into<buttress::BoxError>> + Send + Sync + 'static,
{
    request.map(reqwest::Body::wrap).try_into().expect("an absolute URI")
}

#[tokio::test]
async fn a_streamed_post_is_sent_again_after_a_reset() {
    let server = Flaky::start(1).await;
    let mut client = ServiceBuilder::new()
        .map_request(ReplayBody::wrap)
        .layer(retry())
        .layer(LiftLayer)
        .map_request(into_reqwest)
        .map_response(Response::<reqwest::Body>::from)
        .service(reqwest::Client::new());
    let request = Request::post(server.uri()).body(server.body(None)).unwrap();
    let response = client.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "");
    assert_eq!(server.bodies(), [whole()]);
}

#[tokio::test]
async fn a_refused_connection_is_seen_through_its_error() {
    let (nobody, _taken) = net::nobody();
    let attempts = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = attempts.clone();
    let client = ServiceBuilder::new()
        .map_request(ReplayBody::wrap)
        .layer(
            RetryLayer::builder(RetryPolicy::new())
                .backoff(backoff(Duration::from_millis(5)))
                .build(),
        )
        .layer(LiftLayer)
        .map_request(move |request: Request<_>| {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            into_reqwest(request)
        })
        .map_response(Response::<reqwest::Body>::from)
        .service(reqwest::Client::new());
    let body = Full::<Bytes>::from("text");
    let request = Request::post(format!("http://{nobody}/")).body(body).unwrap();
    assert!(client.oneshot(request).await.is_err());
    assert_eq!(attempts.load(std::sync::atomic::Ordering::SeqCst), 3);
}
