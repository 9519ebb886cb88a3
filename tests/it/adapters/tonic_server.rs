//! The layers around tonic's servers.

use std::time::Duration;

use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::grpc::{Codes, RetryPolicy, respond};
use buttress::hedge::HedgeLayer;
use buttress::http::{BodyTimeoutLayer, HoldBody};
use buttress::idempotency::{IdempotencyLayer, KeyLayer, MemoryStore};
use buttress::observe::{Event, ObserveLayer};
use buttress::retry::RetryLayer;
use buttress::timeout::{DeadlineLayer, PropagateDeadlineLayer, TimeoutLayer};
use tonic::Code;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic_health::pb::health_server::HealthServer;
use tower::{Layer, ServiceBuilder};

use super::tonic_calls::{Scripted, check, connect, listen};

#[tokio::test]
async fn the_name_of_the_service_shows_through_every_layer() {
    fn name<S: NamedService>(_: &S) -> &'static str {
        S::NAME
    }
    let stack = respond(
        ServiceBuilder::new()
            .layer(ObserveLayer::new(|_: &Event<'_>| {}))
            .layer(HoldBody::new(BulkheadLayer::builder(9).queue(9).build()))
            .layer(BodyTimeoutLayer::idle(Duration::from_secs(9)))
            .layer(DeadlineLayer::new())
            .layer(PropagateDeadlineLayer::new())
            .layer(BulkheadLayer::new(9))
            .layer(CircuitBreakerLayer::builder().classify(Codes).build())
            .layer(TimeoutLayer::new(Duration::from_secs(9))),
    );
    let service = stack.layer(HealthServer::new(Scripted::healthy()));
    assert_eq!(name(&service), "grpc.health.v1.Health");
    let again = (HedgeLayer::new(RetryPolicy::new()), RetryLayer::new(RetryPolicy::new()));
    let service_again = again.layer(HealthServer::new(Scripted::healthy()));
    assert_eq!(name(&service_again), "grpc.health.v1.Health");
    let once = IdempotencyLayer::builder(MemoryStore::new()).unscoped().build();
    let once = (KeyLayer::new(), once).layer(HealthServer::new(Scripted::healthy()));
    assert_eq!(name(&once), "grpc.health.v1.Health");

    let (address, incoming) = listen().await;
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    check(&mut connect(address).await).await.unwrap();
}

#[tokio::test]
async fn a_refusal_reaches_the_client_as_a_status() {
    let refuse_all = respond(BulkheadLayer::builder(0).name("tenant-7").build());
    let one = refuse_all.layer(HealthServer::new(Scripted::healthy()));
    let around_one = Server::builder().add_service(one);
    let all = HealthServer::new(Scripted::healthy());
    let around_all = Server::builder().layer(refuse_all).add_service(all);

    let (first, incoming) = listen().await;
    tokio::spawn(around_one.serve_with_incoming(incoming));
    let (second, incoming) = listen().await;
    tokio::spawn(around_all.serve_with_incoming(incoming));
    for address in [first, second] {
        let status = check(&mut connect(address).await).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), "bulkhead full");
        assert_eq!(status.metadata().get("buttress-refusal").unwrap(), "bulkhead_full");
        assert!(!format!("{status:?}").contains("tenant"));
    }
}

#[tokio::test]
async fn a_timeout_reaches_the_client_as_deadline_exceeded() {
    let layer = respond(TimeoutLayer::new(Duration::from_millis(20)));
    let service = layer.layer(HealthServer::new(Scripted::stuck()));
    let (address, incoming) = listen().await;
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    let status = check(&mut connect(address).await).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}
