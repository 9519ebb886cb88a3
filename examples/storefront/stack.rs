//! The calls to the services behind the storefront, as they are and protected.

use std::time::Duration;

use axum::body::Body;
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Window};
use buttress::http::{Statuses, respond};
use buttress::observe::MetricsObserver;
use buttress::timeout::TimeoutLayer;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use crate::shop::Outbound;

/// Calls the service with nothing in between.
pub(crate) fn naked<C>(client: Client<C, Full<Bytes>>) -> Outbound
where
    C: Connect + Clone + Send + Sync + 'static,
{
    BoxCloneSyncService::new(
        client.map_response(|answer| answer.map(Body::new)).map_err(BoxError::from),
    )
}

/// Calls payments through a circuit breaker, a bulkhead and a timeout: all that the protected
/// storefront has and the naked one lacks.
pub(crate) fn protected<C>(client: Client<C, Full<Bytes>>) -> Outbound
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let metrics = MetricsObserver::new();
    let breaker = CircuitBreakerLayer::builder()
        .name("payments")
        .classify(Statuses)
        .failure_rate(0.5)
        .window(Window::time(Duration::from_secs(1)))
        .minimum_calls(20)
        // How long payments may be back before anybody notices. It grows up to the longest while
        // payments stays away, and every time costs payments one call.
        .open_for(Duration::from_millis(250))
        .open_for_at_most(Duration::from_millis(800))
        .probes(1)
        .close_after(3)
        .observe(metrics.clone())
        .build();
    // In calm, 250 calls a second of 25 ms each need about 6 slots. With payments ten times as
    // slow they would take 62 of the 40 workers; these two numbers leave 8 for the other route.
    let bulkhead = BulkheadLayer::builder(20)
        .name("payments")
        .queue(12)
        .max_wait(Duration::from_millis(50))
        .observe(metrics.clone())
        .build();
    // Just above the slowest answer that still makes sense: wait and call together end before the
    // customer's 500 ms do.
    let timeout =
        TimeoutLayer::builder(Duration::from_millis(400)).name("payments").observe(metrics).build();

    let stack = ServiceBuilder::new().layer(breaker).layer(bulkhead).layer(timeout);
    let payments = ServiceBuilder::new().layer(respond(stack)).service(client);
    BoxCloneSyncService::new(
        payments.map_response(|answer| answer.map(Body::new)).map_err(BoxError::from),
    )
}
