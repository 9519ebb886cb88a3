//! What a call costs a layer's state, and that the cost does not grow with what it has seen.

use std::future::{Future, Ready, pending, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress::adaptive_limit::AdaptiveLimitLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Window};
use buttress::hedge::{Delay, HedgeLayer};
use buttress::load_shed::{LoadShedLayer, ThrottleLayer};
use buttress::retry::{Backoff, Budget, Idempotent, RetryLayer};
use buttress::{BoxError, bulkhead::BulkheadLayer, timeout::TimeoutLayer};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tower::{Layer, Service, ServiceBuilder, service_fn};

type Answer = Result<u32, BoxError>;

fn inner(request: u32) -> Ready<Answer> {
    ready(Ok(request))
}

/// One call, driven by hand: no runtime, and so no scheduler in the figures.
fn call<S>(service: &mut S) -> u32
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    match pin!(service.call(black_box(7))).poll(&mut cx) {
        Poll::Ready(Ok(answer)) => answer,
        other => panic!("the inner service is ready at once: {other:?}"),
    }
}

/// A rate over the last hour, after so many calls in that hour.
fn window(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker, time window, calls recorded before");
    for recorded in [1_000, 10_000, 100_000, 1_000_000u64] {
        let window = Window::time(Duration::from_secs(3600));
        let layer = CircuitBreakerLayer::builder().failure_rate(0.5).window(window).build();
        let mut service = layer.layer(service_fn(inner));
        for _ in 0..recorded {
            call(&mut service);
        }
        assert_eq!(layer.handle().snapshot().calls, recorded);
        group.bench_function(BenchmarkId::from_parameter(recorded), |b| {
            b.iter(|| call(&mut service));
        });
    }
    group.finish();
}

fn layers(c: &mut Criterion) {
    let mut group = c.benchmark_group("a call, inner ready");
    let second = Duration::from_secs(1);
    group.bench_function("bare", |b| b.iter(|| call(&mut service_fn(inner))));
    let mut timeout = TimeoutLayer::new(second).layer(service_fn(inner));
    group.bench_function("timeout", |b| b.iter(|| call(&mut timeout)));
    let mut bulkhead = BulkheadLayer::new(10).layer(service_fn(inner));
    group.bench_function("bulkhead", |b| b.iter(|| call(&mut bulkhead)));
    let mut limit = AdaptiveLimitLayer::new().layer(service_fn(inner));
    group.bench_function("adaptive limit", |b| b.iter(|| call(&mut limit)));
    let mut shed = LoadShedLayer::new().layer(service_fn(inner));
    group.bench_function("load shed", |b| b.iter(|| call(&mut shed)));
    let mut throttle = ThrottleLayer::new().layer(service_fn(inner));
    group.bench_function("throttle", |b| b.iter(|| call(&mut throttle)));
    let consecutive = CircuitBreakerLayer::builder().consecutive_failures(5).build();
    let mut consecutive = consecutive.layer(service_fn(inner));
    group.bench_function("breaker, consecutive", |b| b.iter(|| call(&mut consecutive)));
    let mut rate = CircuitBreakerLayer::new().layer(service_fn(inner));
    group.bench_function("breaker, rate over 10 s", |b| b.iter(|| call(&mut rate)));
    for (name, budget) in [
        ("retry, ratio", Budget::ratio(0.2)),
        ("retry, in flight", Budget::in_flight(0.2)),
        ("retry, tokens", Budget::tokens(100, 0.1)),
    ] {
        let retry = RetryLayer::builder(Idempotent).budget(budget).build();
        let mut retry = retry.layer(service_fn(inner));
        group.bench_function(name, |b| b.iter(|| call(&mut retry)));
    }
    let mut hedge = HedgeLayer::new(Idempotent).layer(service_fn(inner));
    group.bench_function("hedge, percentile", |b| b.iter(|| call(&mut hedge)));
    let hedge = HedgeLayer::builder(Idempotent).delay(Delay::Fixed(second)).build();
    let mut hedge = hedge.layer(service_fn(inner));
    group.bench_function("hedge, fixed", |b| b.iter(|| call(&mut hedge)));
    let mut stack = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::builder().consecutive_failures(5).build())
        .layer(BulkheadLayer::new(10))
        .layer(TimeoutLayer::new(second))
        .service(service_fn(inner));
    group.bench_function("breaker, bulkhead, timeout", |b| b.iter(|| call(&mut stack)));
    let mut stack = ServiceBuilder::new()
        .layer(RetryLayer::new(Idempotent))
        .layer(CircuitBreakerLayer::builder().consecutive_failures(5).build())
        .layer(BulkheadLayer::new(10))
        .layer(TimeoutLayer::new(second))
        .service(service_fn(inner));
    group.bench_function("retry, breaker, bulkhead, timeout", |b| b.iter(|| call(&mut stack)));
    group.finish();
}

fn refusals(c: &mut Criterion) {
    let mut group = c.benchmark_group("a refusal");
    let refuse = |service: &mut dyn FnMut() -> bool| assert!(service());
    let full = BulkheadLayer::new(0);
    let mut full = full.layer(service_fn(inner));
    group.bench_function("bulkhead full", |b| b.iter(|| refuse(&mut || is_refused(&mut full))));
    let reached = AdaptiveLimitLayer::builder().max(1).build();
    let mut reached = reached.layer(service_fn(|_: u32| pending::<Answer>()));
    let held = reached.call(7);
    let mut limit = || refuse(&mut || is_refused(&mut reached));
    group.bench_function("adaptive limit reached", |b| b.iter(&mut limit));
    drop(held);
    let mut shed = LoadShedLayer::new().layer(NeverReady);
    group.bench_function("not ready", |b| b.iter(|| refuse(&mut || is_refused(&mut shed))));
    let open = CircuitBreakerLayer::builder()
        .consecutive_failures(1)
        .open_for(Duration::from_secs(3600))
        .open_for_at_most(Duration::from_secs(3600))
        .build();
    open.handle().force_open("benchmark");
    let mut open = open.layer(service_fn(inner));
    group.bench_function("circuit open", |b| b.iter(|| refuse(&mut || is_refused(&mut open))));
    group.finish();
}

/// What failures cost while retries are withheld: an outage must not get dearer by them.
fn withheld(c: &mut Criterion) {
    let mut group = c.benchmark_group("a failure that is not tried again");
    let fail = |_: u32| ready(Err::<u32, BoxError>("down".into()));
    group.bench_function("bare", |b| b.iter(|| assert!(is_refused(&mut service_fn(fail)))));
    // One call in ten thousand pays for a retry, which needs no runtime without a delay.
    let spent = RetryLayer::builder(Idempotent)
        .budget(Budget::ratio(0.0001).at_least(0))
        .backoff(Backoff::exponential(Duration::ZERO, Duration::ZERO))
        .build();
    let mut spent = spent.layer(service_fn(fail));
    group.bench_function("budget spent", |b| b.iter(|| assert!(is_refused(&mut spent))));
    let mut once = RetryLayer::builder(Idempotent).max_attempts(1).build().layer(service_fn(fail));
    group.bench_function("no attempts left", |b| b.iter(|| assert!(is_refused(&mut once))));
    group.finish();
}

#[derive(Clone)]
struct NeverReady;

impl Service<u32> for NeverReady {
    type Response = u32;
    type Error = BoxError;
    type Future = Ready<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Pending
    }

    fn call(&mut self, request: u32) -> Ready<Answer> {
        inner(request)
    }
}

fn is_refused<S>(service: &mut S) -> bool
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    matches!(pin!(service.call(black_box(7))).poll(&mut cx), Poll::Ready(Err(_)))
}

criterion_group!(benches, window, layers, refusals, withheld);
criterion_main!(benches);
