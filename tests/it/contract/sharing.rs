//! State belongs to the layer value: to every clone, and to every route that it wraps.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use buttress::LiftLayer;
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Phase};
use buttress::classify::classify_fn;
use buttress::load_shed::ThrottleLayer;
use buttress::{Class, Error, Reason};
use http::StatusCode;
use tower::{Layer, ServiceBuilder};

use super::company::{AnswerLayer, get_route, routes};

use crate::support::{Ask, Mock, call, poll_once};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_bulkhead_is_one_for_all_services_and_clones_of_its_layer() {
    let layer = BulkheadLayer::new(1);
    let mut first = layer.layer(Mock::new());
    let held = call(&mut first, Ask::Hold);
    for mut other in [first.clone(), layer.layer(Mock::new()), layer.clone().layer(Mock::new())] {
        call(&mut other, Ask::Answer(1)).await.unwrap_err();
    }
    call(&mut BulkheadLayer::new(1).layer(Mock::new()), Ask::Answer(1)).await.unwrap();
    drop(held);
    call(&mut first.clone(), Ask::Answer(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_circuit_is_one_for_all_services_and_clones_of_its_layer() {
    let layer = CircuitBreakerLayer::builder().consecutive_failures(3).build();
    let first = layer.layer(Mock::new());
    for mut failing in [first.clone(), layer.layer(Mock::new()), layer.clone().layer(Mock::new())] {
        assert_eq!(layer.handle().phase(), Phase::Closed);
        call(&mut failing, Ask::Fail(1)).await.unwrap_err();
    }
    assert_eq!(layer.handle().phase(), Phase::Open);
    call(&mut first.clone(), Ask::Answer(1)).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_throttle_is_one_for_all_services_and_clones_of_its_layer() {
    let layer = ThrottleLayer::builder().floor(1000.0).build();
    let first = layer.layer(Mock::new());
    for mut late in [first.clone(), layer.layer(Mock::new()), layer.clone().layer(Mock::new())] {
        call(&mut late, Ask::Refuse(Reason::TimedOut)).await.unwrap_err();
    }
    assert_eq!((layer.handle().requests(), layer.handle().accepts()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_detaching_timeout_counts_over_all_services_and_clones_of_its_layer() {
    let layer = buttress::timeout::TimeoutLayer::builder(5 * MS).detach(2).build();
    let first = layer.layer(Mock::new());
    for mut slow in [first.clone(), layer.layer(Mock::new()), layer.clone().layer(Mock::new())] {
        call(&mut slow, Ask::After(900 * MS, 1)).await.unwrap_err();
    }
    assert_eq!(layer.handle().running(), 2);
}

/// The statuses of one call to each of the eight routes, all begun at once.
async fn all_at_once(router: &Router) -> Vec<StatusCode> {
    futures::future::join_all((0..8).map(|route| get_route(router, route))).await
}

#[tokio::test(start_paused = true)]
async fn a_bulkhead_of_one_over_eight_routes_of_a_bare_router_admits_one_call_at_a_time() {
    let layer = BulkheadLayer::new(1);
    let stack = ServiceBuilder::new().layer(AnswerLayer).layer(layer.clone()).layer(LiftLayer);
    let router = routes(5 * MS).layer(stack);
    for _ in 0..3 {
        let statuses = all_at_once(&router).await;
        let ok = statuses.iter().filter(|status| **status == StatusCode::OK).count();
        assert_eq!(ok, 1, "{statuses:?}");
        assert_eq!(layer.handle().in_flight(), 0);
    }
    // One after the other, all are served.
    for route in 0..8 {
        assert_eq!(get_route(&router, route).await, StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_over_eight_routes_of_a_bare_router_serves_them_one_at_a_time() {
    let layer = BulkheadLayer::builder(1).queue(8).build();
    let stack = ServiceBuilder::new().layer(AnswerLayer).layer(layer).layer(LiftLayer);
    let router = routes(5 * MS).layer(stack);
    let start = tokio::time::Instant::now();
    assert_eq!(all_at_once(&router).await, [StatusCode::OK; 8]);
    assert!(start.elapsed() >= 8 * 5 * MS, "one at a time");
}

#[tokio::test(start_paused = true)]
async fn a_circuit_over_eight_routes_of_a_bare_router_trips_for_all() {
    let layer = CircuitBreakerLayer::builder()
        .consecutive_failures(5)
        .classify(classify_fn(|outcome: Result<&Response, &Error<Infallible>>| match outcome {
            Ok(response) if response.status().is_server_error() => Class::Transient,
            Ok(_) => Class::Success,
            Err(_) => Class::Ignore,
        }))
        .build();
    let stack = ServiceBuilder::new().layer(AnswerLayer).layer(layer.clone()).layer(LiftLayer);
    let broken = axum::routing::get(async || StatusCode::INTERNAL_SERVER_ERROR);
    let router = (0..8)
        .fold(Router::new(), |router, n| router.route(&format!("/{n}"), broken.clone()))
        .layer(stack);
    for route in 0..5 {
        assert_eq!(layer.handle().phase(), Phase::Closed);
        assert_eq!(get_route(&router, route).await, StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert_eq!(layer.handle().phase(), Phase::Open);
    assert_eq!(all_at_once(&router).await, [StatusCode::SERVICE_UNAVAILABLE; 8]);
}

#[tokio::test(start_paused = true)]
async fn layer_values_built_apart_share_nothing() {
    let one = CircuitBreakerLayer::builder().consecutive_failures(1).build();
    let other = CircuitBreakerLayer::builder().consecutive_failures(1).build();
    call(&mut one.layer(Mock::new()), Ask::Fail(1)).await.unwrap_err();
    assert_eq!((one.handle().phase(), other.handle().phase()), (Phase::Open, Phase::Closed));
    let mut held = call(&mut other.layer(Mock::new()), Ask::Hold);
    assert!(poll_once(&mut held).is_pending());
}
