//! What the machines inside the layers cost by themselves, and that it does not grow with what they
//! have seen. What a call through a layer costs is for the comparison.

use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress::BoxError;
use buttress::circuit_breaker::{CircuitBreakerLayer, Window};
use buttress::retry::{Budget, Idempotent, RetryLayer};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tower::{Layer, Service, service_fn};

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
fn time_window(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker, time window, calls recorded before");
    for recorded in [1_000, 10_000, 100_000, 1_000_000, 10_000_000u64] {
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

/// A rate over so many last calls, which are kept one by one.
fn count_window(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker, count window, of so many calls");
    for calls in [10, 100, 1_000, 10_000u32] {
        let window = Window::count(calls);
        let layer = CircuitBreakerLayer::builder().failure_rate(0.5).window(window).build();
        let mut service = layer.layer(service_fn(inner));
        for _ in 0..calls {
            call(&mut service);
        }
        group.bench_function(BenchmarkId::from_parameter(calls), |b| {
            b.iter(|| call(&mut service));
        });
    }
    group.finish();
}

/// What a call pays into each of the budgets.
fn budgets(c: &mut Criterion) {
    let mut group = c.benchmark_group("retry, by its budget");
    for (name, budget) in [
        ("ratio", Budget::ratio(0.2)),
        ("in flight", Budget::in_flight(0.2)),
        ("tokens", Budget::tokens(100, 0.1)),
    ] {
        let retry = RetryLayer::builder(Idempotent).budget(budget).build();
        let mut service = retry.layer(service_fn(inner));
        group.bench_function(name, |b| b.iter(|| call(&mut service)));
    }
    group.finish();
}

criterion_group!(benches, time_window, count_window, budgets);
criterion_main!(benches);
