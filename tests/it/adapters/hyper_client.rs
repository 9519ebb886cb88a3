//! The layers around hyper's client.

use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::http::{Statuses, respond};
use buttress::{Error, LiftLayer, Reason, Rejectable, Rejected};
use hyper_util::client::legacy;
use tower::{Service, ServiceBuilder, ServiceExt};

use super::net;

#[tokio::test]
async fn under_respond_the_caller_sees_the_error_of_the_client() {
    let breaker = CircuitBreakerLayer::builder().consecutive_failures(2).classify(Statuses).build();
    let mut service = ServiceBuilder::new().layer(respond(breaker)).service(net::client());
    let (address, _taken) = net::nobody();

    for _ in 0..2 {
        let call = service.ready().await.unwrap().call(net::request("GET", address, "/"));
        let error: legacy::Error = call.await.unwrap_err();
        assert!(error.is_connect());
    }
    let call = service.ready().await.unwrap().call(net::request("GET", address, "/"));
    let refusal = call.await.unwrap();
    assert_eq!(refusal.status(), 503);
    let rejected = refusal.extensions().get::<Rejected>().unwrap();
    assert_eq!(rejected.reason(), Reason::CircuitOpen);
    assert_eq!(net::collect(refusal).await.headers()["buttress-refusal"], "circuit_open");
}

#[tokio::test]
async fn lifted_the_error_tells_a_refusal_from_a_failure() {
    let (address, _taken) = net::nobody();
    let stack = |limit| {
        ServiceBuilder::new()
            .layer(BulkheadLayer::new(limit))
            .layer(LiftLayer)
            .service(net::client())
            .oneshot(net::request("GET", address, "/"))
    };
    let failure = stack(1).await.unwrap_err();
    assert!(matches!(failure, Error::Service(ref error) if error.is_connect()));
    let refusal = stack(0).await.unwrap_err();
    assert_eq!(refusal.rejected().unwrap().reason(), Reason::BulkheadFull);
}

#[tokio::test]
async fn a_server_that_asks_for_less_opens_the_circuit_for_as_long_as_it_asked() {
    let busy = async || (http::StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "120")], "");
    let app = axum::Router::new().route("/", axum::routing::get(busy));
    let address = net::serve(app).await;
    let breaker = CircuitBreakerLayer::builder()
        .failure_rate(0.5)
        .minimum_calls(2)
        .classify(Statuses)
        .build();
    let mut service = ServiceBuilder::new().layer(respond(breaker)).service(net::client());

    for _ in 0..2 {
        let call = service.ready().await.unwrap().call(net::request("GET", address, "/"));
        assert!(call.await.unwrap().extensions().get::<Rejected>().is_none());
    }
    let call = service.ready().await.unwrap().call(net::request("GET", address, "/"));
    let refusal = call.await.unwrap();
    let wait = refusal.extensions().get::<Rejected>().unwrap().retry_after().unwrap();
    assert!((100..=120).contains(&wait.as_secs()), "{wait:?}");
}
