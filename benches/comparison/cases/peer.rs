//! tower-resilience: layers of the same names, each with an error type of its own around that of
//! the service. Its hedge wants an error that is `Clone`, which a boxed one is not.

use std::convert::Infallible;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::time::Duration;

use tower::{Layer, Service, ServiceBuilder};
use tower_resilience::adaptive::{AdaptiveLimiterLayer, Aimd};
use tower_resilience::bulkhead::BulkheadLayer;
use tower_resilience::circuitbreaker::{CircuitBreakerLayer, SlidingWindowType};
use tower_resilience::hedge::HedgeLayer;
use tower_resilience::ratelimiter::RateLimiterLayer;
use tower_resilience::retry::{RetryBudgetBuilder, RetryLayer};
use tower_resilience::timelimiter::TimeLimiterLayer;

use super::ours::{HOUR, LATER, READY, SECOND};
use super::{Case, PEER, at_once, occupy, refuses, succeeds};
use crate::drive::{RefusesInRuntime, Request, Subject};
use crate::inner::{AtOnce, Endless, Later};

const REFUSED: AtOnce<Infallible> = AtOnce(PhantomData);
const CLONED: AtOnce<Infallible> = AtOnce(PhantomData);
const CLONED_LATER: Later<Infallible> = Later(PhantomData);
const ENDLESS: Endless<Infallible> = Endless(PhantomData);

pub(super) fn cases() -> Vec<Case> {
    let case = |row, make| Case { row, whose: PEER, make };
    vec![
        case("timeout, inner ready", || succeeds(timeout().layer(READY))),
        case("timeout, inner pending", || succeeds(timeout().layer(LATER))),
        case("bulkhead", || succeeds(bulkhead().layer(READY))),
        case("bulkhead full, runtime", full),
        case("breaker, consecutive", || succeeds(consecutive().layer(READY))),
        case("breaker, rate over 10 s", || succeeds(rate(Duration::from_secs(10)).layer(READY))),
        case("breaker, rate, 1e4 calls", || succeeds(rate(HOUR).layer(READY))),
        case("breaker open", open),
        case("adaptive limit", || succeeds(AdaptiveLimiterLayer::new(aimd()).layer(READY))),
        case("retry with budget", || succeeds(retry().layer(READY))),
        case("rate limit", || succeeds(rate_limit(usize::MAX >> 1).layer(READY))),
        case("rate limit exceeded", exceeded),
        case("hedge, primary wins", || succeeds(HedgeLayer::new(SECOND).layer(CLONED))),
        case("hedge, primary pending", || succeeds(HedgeLayer::new(SECOND).layer(CLONED_LATER))),
        case("stack of 4", || succeeds(four())),
    ]
}

fn timeout() -> TimeLimiterLayer {
    TimeLimiterLayer::builder().timeout_duration(SECOND).build()
}

pub(crate) fn bulkhead() -> BulkheadLayer {
    BulkheadLayer::builder().max_concurrent_calls(10).build().expect("a bulkhead")
}

/// It sleeps for no time before it refuses, which takes the timer 1 ms.
fn full() -> Box<dyn Subject> {
    let layer = BulkheadLayer::builder().max_concurrent_calls(1).reject_when_full().build();
    let mut service = layer.expect("a bulkhead").layer(ENDLESS);
    occupy(&mut service);
    Box::new(RefusesInRuntime::new(service))
}

pub(crate) fn consecutive() -> CircuitBreakerLayer {
    CircuitBreakerLayer::builder().consecutive_failures(5).build().expect("a breaker")
}

pub(crate) fn rate(window: Duration) -> CircuitBreakerLayer {
    CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_type(SlidingWindowType::TimeBased)
        .sliding_window_duration(window)
        .minimum_number_of_calls(20)
        .build()
        .expect("a breaker")
}

fn open() -> Box<dyn Subject> {
    let builder = CircuitBreakerLayer::builder().wait_duration_in_open(HOUR);
    let (layer, handle) = builder.build_with_handle().expect("a breaker");
    at_once(handle.force_open());
    refuses(layer.layer(REFUSED))
}

fn aimd() -> Aimd {
    Aimd::builder().build().expect("an algorithm")
}

fn retry<E: Send + 'static>() -> RetryLayer<Request, u32, E> {
    let budget = RetryBudgetBuilder::new().token_bucket().build().expect("a budget");
    RetryLayer::builder().budget(budget).build()
}

fn rate_limit(calls: usize) -> RateLimiterLayer {
    RateLimiterLayer::builder()
        .limit_for_period(calls)
        .refresh_period(HOUR)
        .timeout_duration(Duration::ZERO)
        .build()
        .expect("a rate limit")
}

fn exceeded() -> Box<dyn Subject> {
    let mut service = rate_limit(1).layer(REFUSED);
    at_once(service.call(7)).expect("the first call");
    refuses(service)
}

fn four() -> impl Service<Request, Response = u32, Error: Debug> {
    ServiceBuilder::new()
        .layer(retry())
        .layer(consecutive())
        .layer(bulkhead())
        .layer(timeout())
        .service(READY)
}
