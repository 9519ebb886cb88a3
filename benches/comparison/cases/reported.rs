//! This crate's layers with metrics on, down to a Prometheus recorder that is really installed, and
//! what is kept of a metric beside finding it anew.

use std::sync::OnceLock;
use std::time::Duration;

use buttress::BoxError;
use buttress::adaptive_limit::AdaptiveLimitLayer;
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::load_shed::{LoadShedLayer, ThrottleLayer};
use buttress::observe::{MetricsObserver, ObserveLayer};
use buttress::rate_limit::RateLimitLayer;
use buttress::retry::{Idempotent, RetryLayer};
use buttress::timeout::{Deadline, TimeoutLayer};
use metrics::{counter, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tower::{Layer, Service, ServiceBuilder};

use super::ours::{
    ENDLESS, FAILS, HOUR, READY, REFUSED, SECOND, STUCK, consecutive, exceeded, full, opened,
    reached, throttled, withheld,
};
use super::{Case, METRICS, OURS, does, occupy, refuses, succeeds};
use crate::drive::{Request, Subject};

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Makes Prometheus the recorder of this process.
pub(crate) fn install_recorder() {
    let recorder = PrometheusBuilder::new().build_recorder();
    RECORDER.set(recorder.handle()).expect("called once");
    metrics::set_global_recorder(recorder).expect("called once");
}

/// What a process does every few seconds: the recorder keeps each sample until then.
pub(crate) fn drain() {
    RECORDER.get().expect("a recorder").run_upkeep();
}

pub(super) fn cases() -> Vec<Case> {
    let ours = |row, make| Case { row, whose: OURS, make };
    let theirs = |row, make| Case { row, whose: METRICS, make };
    vec![
        ours("stack of 8, metrics", || succeeds(eight())),
        ours("deadline passed, metrics", expired),
        ours("bulkhead full, metrics", || {
            refuses(full().observe(metrics()).build().layer(REFUSED))
        }),
        ours("queue full, metrics", queue_full),
        ours("breaker open, metrics", || {
            refuses(opened(consecutive().observe(metrics())).layer(REFUSED))
        }),
        ours("limit reached, metrics", || {
            refuses(reached(AdaptiveLimitLayer::builder().observe(metrics())))
        }),
        ours("not ready, metrics", || {
            refuses(LoadShedLayer::builder().observe(metrics()).build().layer(STUCK))
        }),
        ours("throttled, metrics", || throttled(ThrottleLayer::builder().observe(metrics()))),
        ours("rate limited, metrics", || {
            refuses(exceeded(RateLimitLayer::builder().observe(metrics())))
        }),
        ours("retry withheld, metrics", || {
            refuses(withheld().observe(metrics()).build().layer(FAILS))
        }),
        ours("counter", || {
            let kept = counter!("comparison_kept_total", "name" => "orders");
            does(move || kept.increment(1))
        }),
        theirs("counter", || {
            does(|| counter!("comparison_found_total", "name" => "orders").increment(1))
        }),
        ours("histogram", || {
            let kept = histogram!("comparison_kept_seconds", "name" => "orders");
            does(move || kept.record(0.001))
        }),
        theirs("histogram", || {
            does(|| histogram!("comparison_found_seconds", "name" => "orders").record(0.001))
        }),
    ]
}

fn metrics() -> MetricsObserver {
    MetricsObserver::new()
}

/// The caller has given up before the call is made.
fn expired() -> Box<dyn Subject> {
    let expired = Deadline::after(Duration::ZERO);
    let layer = TimeoutLayer::builder(SECOND)
        .deadline(move |_: &Request| Some(expired))
        .observe(metrics())
        .build();
    refuses(layer.layer(ENDLESS))
}

/// One call that never ends, and one that waits for it for ever.
fn queue_full() -> Box<dyn Subject> {
    let layer = BulkheadLayer::builder(1).queue(1).observe(metrics()).build();
    let mut service = layer.layer(ENDLESS);
    occupy(&mut service);
    occupy(&mut service);
    refuses(service)
}

/// A client's stack, and every layer of it reports.
fn eight() -> impl Service<Request, Response = u32, Error = BoxError> {
    let metrics = metrics();
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
