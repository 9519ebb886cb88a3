//! This crate's layers.

use std::marker::PhantomData;
use std::time::Duration;

use buttress::adaptive_limit::{self, AdaptiveLimitLayer};
use buttress::bulkhead::{self, BulkheadLayer};
use buttress::circuit_breaker::{self, CircuitBreakerLayer, Window};
use buttress::classify::{Classify, classify_fn};
use buttress::hedge::{Delay, HedgeLayer};
use buttress::load_shed::{LoadShedLayer, ThrottleBuilder, ThrottleLayer};
use buttress::observe::{MetricsObserver, ObserveLayer};
use buttress::rate_limit::{self, RateLimitLayer};
use buttress::retry::{self, Backoff, Budget, Idempotent, RetryLayer};
use buttress::timeout::TimeoutLayer;
use buttress::{BoxError, Class};
use tower::{Layer, Service, ServiceBuilder};

use super::{Case, OURS, does, refuses, succeeds};
use crate::drive::{RefusesInRuntime, Request, Subject, either, fails, outcome, works};
use crate::inner::{AtOnce, Endless, Fails, Later, Refusal, Stuck};
use crate::rows::{BARE, PENDING};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const READY: AtOnce<BoxError> = AtOnce(PhantomData);
pub(super) const FAILS: Fails = Fails;
pub(super) const LATER: Later<BoxError> = Later(PhantomData);

// A refusal must not be boxed only to be looked at.
pub(super) const REFUSED: AtOnce<Refusal> = AtOnce(PhantomData);
pub(super) const STUCK: Stuck<Refusal> = Stuck(PhantomData);
pub(super) const ENDLESS: Endless<Refusal> = Endless(PhantomData);

/// Chance is part of the count: the same in every run.
pub(super) const SEED: u64 = 7;

pub(super) fn cases() -> Vec<Case> {
    let case = |row, make| Case { row, whose: OURS, make };
    vec![
        case(BARE, || succeeds(READY)),
        case(PENDING, || succeeds(LATER)),
        case("timeout, inner ready", || succeeds(TimeoutLayer::new(SECOND).layer(READY))),
        case("timeout, inner pending", || succeeds(TimeoutLayer::new(SECOND).layer(LATER))),
        case("bulkhead", || succeeds(BulkheadLayer::new(10).layer(READY))),
        case("bulkhead, queue", || {
            succeeds(BulkheadLayer::builder(10).queue(10).build().layer(READY))
        }),
        case("bulkhead full", || refuses(full().build().layer(REFUSED))),
        case("bulkhead full, runtime", || {
            Box::new(RefusesInRuntime::new(full().build().layer(REFUSED)))
        }),
        case("breaker, consecutive", || succeeds(consecutive().build().layer(READY))),
        case("breaker, rate over 10 s", || succeeds(CircuitBreakerLayer::new().layer(READY))),
        case("breaker, rate, 1e4 calls", || succeeds(rate_over_an_hour().layer(READY))),
        case("breaker, rate, 1e6 calls", || succeeds(rate_over_an_hour().layer(READY))),
        case("breaker open", || refuses(opened(consecutive()).layer(REFUSED))),
        case("adaptive limit", || succeeds(AdaptiveLimitLayer::new().layer(READY))),
        case("adaptive limit reached", || refuses(reached(AdaptiveLimitLayer::builder()))),
        case("load shed", || succeeds(LoadShedLayer::new().layer(READY))),
        case("load shed, not ready", || refuses(LoadShedLayer::new().layer(STUCK))),
        case("throttle", || succeeds(ThrottleLayer::new().layer(READY))),
        case("throttle, refusing", || throttled(ThrottleLayer::builder())),
        case("retry with budget", || succeeds(RetryLayer::new(Idempotent).layer(READY))),
        case("retry withheld", || refuses(withheld().build().layer(FAILS))),
        case("rate limit", || succeeds(unlimited().build().layer(READY))),
        case("rate limit, per key", || {
            succeeds(unlimited().key(|request: &Request| *request).build().layer(READY))
        }),
        case("rate limit exceeded", || refuses(exceeded(RateLimitLayer::builder()))),
        case("hedge, primary wins", || succeeds(HedgeLayer::new(Idempotent).layer(READY))),
        case("hedge, primary pending", || succeeds(hedge().layer(LATER))),
        case("observe, metrics", || {
            succeeds(ObserveLayer::new(MetricsObserver::new()).layer(READY))
        }),
        case("stack of 4", || succeeds(four())),
    ]
}

/// A bulkhead that takes nobody.
pub(super) fn full() -> bulkhead::Builder {
    BulkheadLayer::builder(0)
}

pub(super) fn consecutive() -> circuit_breaker::Builder {
    CircuitBreakerLayer::builder().consecutive_failures(5)
}

fn rate_over_an_hour() -> CircuitBreakerLayer {
    CircuitBreakerLayer::builder().failure_rate(0.5).window(Window::time(HOUR)).build()
}

/// Open for longer than the measurement lasts.
pub(super) fn opened(builder: circuit_breaker::Builder) -> CircuitBreakerLayer {
    let layer = builder.consecutive_failures(1).open_for(HOUR).open_for_at_most(HOUR).build();
    fails(outcome(&mut layer.layer(FAILS)));
    layer
}

/// An adaptive limit of one, with one call in flight that never ends.
pub(super) fn reached(
    builder: adaptive_limit::Builder,
) -> impl Service<Request, Response = u32, Error = Refusal> {
    let mut service = builder.max(1).build().layer(ENDLESS);
    super::occupy(&mut service);
    service
}

/// A throttle before a service that calls every request an overload: it refuses all but a few.
pub(super) fn throttled(builder: ThrottleBuilder) -> Box<dyn Subject> {
    let layer = builder.seed(SEED).classify(overloaded()).build();
    let mut service = layer.layer(REFUSED);
    does(move || either(&mut service))
}

fn overloaded() -> impl Classify<u32, Refusal> + 'static {
    classify_fn(|_: Result<&u32, &Refusal>| Class::Overload { retry_after: None })
}

/// A budget that pays for one retry in ten thousand calls, which needs no runtime without a delay.
pub(super) fn withheld() -> retry::Builder<Idempotent> {
    RetryLayer::builder(Idempotent)
        .budget(Budget::ratio(0.0001).at_least(0))
        .backoff(Backoff::exponential(Duration::ZERO, Duration::ZERO))
        .seed(SEED)
}

/// As many as there are nanoseconds.
pub(super) fn unlimited() -> rate_limit::Builder {
    RateLimitLayer::builder().per_second(1_000_000_000).burst(u32::MAX)
}

/// One call an hour, and it has been.
pub(super) fn exceeded(
    builder: rate_limit::Builder,
) -> impl Service<Request, Response = u32, Error = Refusal> {
    let mut service = builder.per(1, HOUR).burst(1).build().layer(REFUSED);
    works(outcome(&mut service));
    service
}

fn hedge() -> HedgeLayer<Idempotent> {
    HedgeLayer::builder(Idempotent).delay(Delay::Fixed(SECOND)).build()
}

fn four() -> impl Service<Request, Response = u32, Error = BoxError> {
    ServiceBuilder::new()
        .layer(RetryLayer::new(Idempotent))
        .layer(consecutive().build())
        .layer(BulkheadLayer::new(10))
        .layer(TimeoutLayer::new(SECOND))
        .service(READY)
}

/// Bytes of the response future of the stack of four.
pub(crate) fn size_of_four() -> usize {
    size_of_val(&four().call(7))
}
