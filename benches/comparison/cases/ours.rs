//! This crate's layers.

use std::marker::PhantomData;
use std::time::Duration;

use buttress::BoxError;
use buttress::adaptive_limit::AdaptiveLimitLayer;
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::hedge::{Delay, HedgeLayer};
use buttress::load_shed::{LoadShedLayer, ThrottleLayer};
use buttress::observe::{MetricsObserver, ObserveLayer};
use buttress::retry::{Idempotent, RetryLayer};
use buttress::timeout::TimeoutLayer;
use tower::{Layer, Service, ServiceBuilder};

use crate::cases::{BARE, Case, OURS};
use crate::drive::{Refuses, Request, Subject, Succeeds};
use crate::inner::{AtOnce, Later, Refusal, Stuck};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const READY: AtOnce<BoxError> = AtOnce(PhantomData);
const LATER: Later<BoxError> = Later(PhantomData);
// A refusal must not be boxed only to be looked at.
const REFUSED: AtOnce<Refusal> = AtOnce(PhantomData);
const STUCK: Stuck<Refusal> = Stuck(PhantomData);

pub(crate) fn cases() -> Vec<Case> {
    let case = |row, make| Case { row, whose: OURS, make };
    vec![
        case(BARE, || succeeds(READY)),
        case("bare service, pending", || succeeds(LATER)),
        case("timeout, inner ready", || succeeds(TimeoutLayer::new(SECOND).layer(READY))),
        case("timeout, inner pending", || succeeds(TimeoutLayer::new(SECOND).layer(LATER))),
        case("bulkhead", || succeeds(BulkheadLayer::new(10).layer(READY))),
        case("bulkhead, queue", || {
            succeeds(BulkheadLayer::builder(10).queue(10).build().layer(READY))
        }),
        case("bulkhead full", || refuses(BulkheadLayer::new(0).layer(REFUSED))),
        case("breaker, consecutive", || succeeds(consecutive().layer(READY))),
        case("breaker, rate over 10 s", || succeeds(CircuitBreakerLayer::new().layer(READY))),
        case("breaker open", || refuses(open().layer(REFUSED))),
        case("adaptive limit", || succeeds(AdaptiveLimitLayer::new().layer(READY))),
        case("adaptive limit reached", || refuses(reached())),
        case("load shed", || succeeds(LoadShedLayer::new().layer(READY))),
        case("load shed, not ready", || refuses(LoadShedLayer::new().layer(STUCK))),
        case("throttle", || succeeds(ThrottleLayer::new().layer(READY))),
        case("retry with budget", || succeeds(RetryLayer::new(Idempotent).layer(READY))),
        case("hedge, primary wins", || succeeds(HedgeLayer::new(Idempotent).layer(READY))),
        case("hedge, primary pending", || succeeds(hedge().layer(LATER))),
        case("observe, metrics", || {
            succeeds(ObserveLayer::new(MetricsObserver::new()).layer(READY))
        }),
        case("stack of 4", || succeeds(four())),
        case("stack of 8, metrics", || succeeds(eight())),
    ]
}

fn consecutive() -> CircuitBreakerLayer {
    CircuitBreakerLayer::builder().consecutive_failures(5).build()
}

/// Open for longer than the measurement lasts.
fn open() -> CircuitBreakerLayer {
    let layer = CircuitBreakerLayer::builder()
        .consecutive_failures(1)
        .open_for(HOUR)
        .open_for_at_most(HOUR)
        .build();
    layer.handle().force_open("benchmark");
    layer
}

fn hedge() -> HedgeLayer<Idempotent> {
    HedgeLayer::builder(Idempotent).delay(Delay::Fixed(SECOND)).build()
}

/// An adaptive limit of one, with one call in flight that never ends.
fn reached() -> impl Service<Request, Response = u32, Error = Refusal> {
    let mut service = AdaptiveLimitLayer::builder().max(1).build().layer(STUCK);
    std::mem::forget(service.call(7));
    service
}

fn four() -> impl Service<Request, Response = u32, Error = BoxError> {
    ServiceBuilder::new()
        .layer(RetryLayer::new(Idempotent))
        .layer(consecutive())
        .layer(BulkheadLayer::new(10))
        .layer(TimeoutLayer::new(SECOND))
        .service(READY)
}

/// A client's stack, and every layer of it reports to the metrics.
fn eight() -> impl Service<Request, Response = u32, Error = BoxError> {
    let metrics = MetricsObserver::new();
    ServiceBuilder::new()
        .layer(ObserveLayer::new(metrics.clone()))
        .layer(TimeoutLayer::builder(HOUR).observe(metrics.clone()).build())
        .layer(RetryLayer::builder(Idempotent).observe(metrics.clone()).build())
        .layer(CircuitBreakerLayer::builder().observe(metrics.clone()).build())
        .layer(AdaptiveLimitLayer::builder().observe(metrics.clone()).build())
        .layer(BulkheadLayer::builder(10).observe(metrics.clone()).build())
        .layer(ThrottleLayer::builder().observe(metrics.clone()).build())
        .layer(TimeoutLayer::builder(SECOND).observe(metrics).build())
        .service(READY)
}

fn succeeds(
    service: impl Service<Request, Response = u32, Error: std::fmt::Debug> + 'static,
) -> Box<dyn Subject> {
    Box::new(Succeeds(service))
}

fn refuses(
    service: impl Service<Request, Response = u32, Error: std::fmt::Debug> + 'static,
) -> Box<dyn Subject> {
    Box::new(Refuses(service))
}
