//! What a call costs: allocations, which are none, and the size of its future.

mod attempts;
mod deadlines;
mod keys;
#[cfg(feature = "rate-limit")]
mod rates;
#[cfg(feature = "metrics")]
mod recorder;

use std::future::{Ready, ready};
use std::mem::size_of_val;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use buttress::adaptive_limit::{AdaptiveLimitLayer, Algorithm, Ended};
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Window};
use buttress::hedge::{Delay, HedgeLayer};
use buttress::keyed::KeyedLayer;
use buttress::load_shed::{LoadShedLayer, Priority, PriorityClass, ThrottleLayer};
use buttress::observe::{Observe, ObserveLayer};
use buttress::retry::{Budget, Idempotent, RetryLayer};
use buttress::timeout::{Deadline, TimeoutLayer};
use buttress::{BoxError, Error, Reason, Rejected};
use tower::{Layer, Service, ServiceBuilder, service_fn};

const SECOND: Duration = Duration::from_secs(1);
/// Ten windows of the widest count window below.
const WARM: u32 = 1_000;

type Fault = Error<&'static str>;
type Base = tower::util::ServiceFn<fn(u32) -> Ready<Result<u32, Fault>>>;

fn inner(request: u32) -> Ready<Result<u32, Fault>> {
    ready(Ok(request))
}

/// One call without a runtime, which could allocate on its own account.
fn call<S>(service: &mut S) -> Result<u32, S::Error>
where
    S: Service<u32, Response = u32>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    match pin!(service.call(7)).poll(&mut cx) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("the inner service is ready at once"),
    }
}

/// Allocations of 100 calls, after a warm start.
fn allocations<S>(mut service: S, succeeds: bool) -> u64
where
    S: Service<u32, Response = u32>,
{
    for _ in 0..WARM {
        let _ = call(&mut service);
    }
    let counted = measure(|| {
        for _ in 0..100 {
            assert_eq!(call(&mut service).is_ok(), succeeds);
        }
    });
    counted.count_total
}

/// Every layer, and their stack, with this observer.
fn successes(observer: &(impl Observe + Clone + 'static)) -> Vec<(&'static str, u64)> {
    let observer = || observer.clone();
    let timeout = || TimeoutLayer::builder(SECOND).observe(observer()).build();
    let bulkhead = || BulkheadLayer::builder(10).observe(observer()).build();
    let breaker = || CircuitBreakerLayer::builder().observe(observer());
    let retry = || RetryLayer::builder(Idempotent).observe(observer());
    let hedge = || HedgeLayer::builder(Idempotent).observe(observer());
    let base = || service_fn(inner);
    let count = Window::count(100);
    let stack = ServiceBuilder::new()
        .layer(ObserveLayer::new(observer()))
        .layer(retry().build())
        .layer(breaker().build())
        .layer(bulkhead())
        .layer(timeout())
        .service(base());
    let throttle = ThrottleLayer::builder().observe(observer()).build();
    let queue = BulkheadLayer::builder(10).queue(5).max_wait(SECOND).observe(observer());
    let limit = || AdaptiveLimitLayer::builder().initial(10).observe(observer());
    let skipping = limit().algorithm(Skipping);
    let shed = || LoadShedLayer::builder().observe(observer());
    let ranked = shed().fail_fast(SECOND).signal(|| 0.0).priority(|_: &u32| None::<Priority>);
    let told = observer();
    let make = move |_: &str| BulkheadLayer::builder(9).observe(told.clone()).build();
    let keyed = KeyedLayer::builder_by_ref(|_: &u32| "key", make).idle(SECOND).build();
    let consecutive = breaker().consecutive_failures(5);
    let slow = breaker().slow_calls(SECOND, 0.5);
    vec![
        ("observe", allocations(ObserveLayer::new(observer()).layer(base()), true)),
        ("timeout", allocations(timeout().layer(base()), true)),
        ("bulkhead", allocations(bulkhead().layer(base()), true)),
        ("bulkhead with a queue", allocations(queue.build().layer(base()), true)),
        ("adaptive limit", allocations(limit().build().layer(base()), true)),
        ("adaptive limit, mostly untimed", allocations(skipping.build().layer(base()), true)),
        ("adaptive limit with a queue", allocations(limit().queue(5).build().layer(base()), true)),
        (
            "adaptive limit, priorities",
            allocations(prioritised(limit()).layer(service_fn(inner as fn(u32) -> _)), true),
        ),
        ("breaker, consecutive", allocations(consecutive.build().layer(base()), true)),
        ("breaker, time window", allocations(breaker().build().layer(base()), true)),
        ("breaker, count window", allocations(breaker().window(count).build().layer(base()), true)),
        ("breaker, slow calls", allocations(slow.build().layer(base()), true)),
        ("breaker in gate mode", allocations(breaker().gate().build().layer(base()), true)),
        ("retry", allocations(retry().build().layer(base()), true)),
        ("retry, in flight", retry_with(retry().budget(Budget::in_flight(0.2)))),
        ("retry, tokens", retry_with(retry().budget(Budget::tokens(100, 0.1)))),
        ("hedge", allocations(hedge().build().layer(base()), true)),
        (
            "hedge, fixed",
            allocations(hedge().delay(Delay::Fixed(SECOND)).build().layer(base()), true),
        ),
        ("throttle", allocations(throttle.layer(base()), true)),
        ("load shed", allocations(shed().build().layer(base()), true)),
        ("load shed with a queue", allocations(shed().queue(5).build().layer(base()), true)),
        ("load shed by priority", allocations(ranked.build().layer(base()), true)),
        ("keyed", allocations(keyed.layer(base()), true)),
        ("the stack", allocations(stack, true)),
    ]
}

/// Wants to see one call in sixteen.
#[derive(Debug)]
struct Skipping;

impl Algorithm for Skipping {
    fn limit(&self) -> f64 {
        10.0
    }

    fn ended(&mut self, _: &Ended) {}

    fn skip(&self) -> u32 {
        15
    }
}

fn prioritised(
    builder: buttress::adaptive_limit::Builder,
) -> impl Layer<Base, Service: Service<u32, Response = u32>> {
    builder.priority(|_: &u32| Some(PriorityClass::Batch.into()), []).build()
}

fn retry_with(builder: buttress::retry::Builder<Idempotent>) -> u64 {
    allocations(builder.build().layer(service_fn(inner)), true)
}

fn assert_none(counted: Vec<(&str, u64)>) {
    for (what, allocations) in counted {
        assert_eq!(allocations, 0, "{what}: allocations in 100 calls");
    }
}

#[test]
fn a_successful_call_allocates_nothing() {
    assert_none(successes(&|_: &buttress::observe::Event<'_>| {}));
    let unobserved = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new())
        .layer(BulkheadLayer::new(10))
        .layer(TimeoutLayer::new(SECOND))
        .service(service_fn(inner));
    assert_none(vec![("the stack without observers", allocations(unobserved, true))]);
}

#[cfg(feature = "metrics")]
#[test]
fn a_successful_call_allocates_nothing_with_metrics_and_a_recorder() {
    let recorder = recorder::Sum::default();
    metrics::with_local_recorder(&recorder, || {
        assert_none(successes(&buttress::observe::MetricsObserver::new()));
    });
    // Twenty-three layers alone and five in the stack, each call with a counter and a histogram.
    let calls = u64::from(WARM + 100) * (23 + 5);
    assert_eq!(recorder.counted(), calls, "the recorder saw the calls");
    assert_eq!(recorder.sampled(), calls);
}

#[test]
fn a_refusal_allocates_nothing() {
    let base = || service_fn(inner);
    let open = CircuitBreakerLayer::builder().consecutive_failures(1).build();
    let failing = |_: u32| ready(Err::<u32, _>(Fault::Service("down")));
    call(&mut open.layer(service_fn(failing))).unwrap_err();
    let half_open = CircuitBreakerLayer::new();
    half_open.handle().force_open("drill");
    let late = TimeoutLayer::builder(SECOND)
        .deadline(|_: &u32| Some(Deadline::after(Duration::ZERO)))
        .build();
    let queue = BulkheadLayer::builder(0).queue(5).build();
    let skipping = AdaptiveLimitLayer::builder().algorithm(Skipping);
    let spent = RetryLayer::builder(Idempotent).budget(Budget::ratio(0.0001).at_least(0)).build();
    // All but one in a thousand are refused before they can time out.
    let throttled = ThrottleLayer::new().layer(service_fn(|_: u32| {
        ready(Err::<u32, Fault>(Rejected::new(Reason::TimedOut).into()))
    }));
    let stack = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new())
        .layer(TimeoutLayer::new(SECOND))
        .layer(BulkheadLayer::new(0))
        .service(base());
    let shed = LoadShedLayer::builder;
    assert_none(vec![
        ("not ready", allocations(LoadShedLayer::new().layer(Busy), false)),
        ("not ready, in a full queue", allocations(shed().queue(0).build().layer(Busy), false)),
        ("a signal", allocations(shed().signal(|| 1.0).build().layer(base()), false)),
        ("bulkhead full", allocations(BulkheadLayer::new(0).layer(base()), false)),
        ("bulkhead and queue full", allocations(queue.layer(base()), false)),
        ("adaptive limit reached", full_limit(AdaptiveLimitLayer::builder())),
        ("adaptive limit reached, seldom asked", full_limit(skipping)),
        ("circuit open", allocations(open.layer(base()), false)),
        ("circuit forced open", allocations(half_open.layer(base()), false)),
        ("deadline passed", allocations(late.layer(base()), false)),
        ("throttled", allocations(throttled, false)),
        ("a refusal through the stack", allocations(stack, false)),
        ("a retry that is withheld", allocations(spent.layer(service_fn(failing)), false)),
    ]);
}

/// Refusals of a limit that a call in flight has used up.
fn full_limit<A: Algorithm>(builder: buttress::adaptive_limit::Builder<A>) -> u64 {
    let layer = builder.max(1).build();
    let mut service =
        layer.layer(service_fn(|_: u32| std::future::pending::<Result<u32, Fault>>()));
    let _held = service.call(7);
    allocations(service, false)
}

/// Never ready.
#[derive(Clone, Copy, Debug)]
struct Busy;

impl Service<u32> for Busy {
    type Response = u32;
    type Error = Fault;
    type Future = Ready<Result<u32, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Pending
    }

    fn call(&mut self, request: u32) -> Self::Future {
        inner(request)
    }
}

/// A test that counts nothing would pass as well.
#[test]
fn an_allocation_is_counted() {
    let boxing =
        service_fn(|n: u32| ready(Ok::<u32, BoxError>(*std::hint::black_box(Box::new(n)))));
    assert_eq!(allocations(BulkheadLayer::new(1).layer(boxing), true), 100);
}

async fn with_room(request: u32) -> Result<u32, Fault> {
    let room = [request; 250];
    std::future::pending::<()>().await;
    Ok(room[7])
}

#[test]
fn the_futures_are_as_small_as_documented() {
    let base = || service_fn(inner);
    let alone = size_of_val(&base().call(7));
    let over = |size: usize| size - alone;
    let bulkhead = over(size_of_val(&BulkheadLayer::new(1).layer(base()).call(7)));
    let limit = over(size_of_val(&AdaptiveLimitLayer::new().layer(base()).call(7)));
    let breaker = over(size_of_val(&CircuitBreakerLayer::new().layer(base()).call(7)));
    let timeout = over(size_of_val(&TimeoutLayer::new(SECOND).layer(base()).call(7)));
    let throttle = over(size_of_val(&ThrottleLayer::new().layer(base()).call(7)));
    let mut stack = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new())
        .layer(BulkheadLayer::new(1))
        .layer(TimeoutLayer::new(SECOND))
        .service(base());
    let stack = size_of_val(&stack.call(7));
    // The kept request, and a clone of the inner service, which has no size.
    let retry = over(size_of_val(&RetryLayer::new(Idempotent).layer(base()).call(7)));
    let hedge = over(size_of_val(&HedgeLayer::new(Idempotent).layer(base()).call(7)));
    assert!(bulkhead <= 32, "bulkhead: {bulkhead}");
    assert!(limit <= 40, "adaptive limit: {limit}");
    assert!(breaker <= 40, "breaker: {breaker}");
    let shed = LoadShedLayer::new().layer(base()).call(7);
    let shed = over(size_of_val(&shed));
    let waiting = LoadShedLayer::builder().queue(1).build().layer(base()).call(7);
    let waiting = over(size_of_val(&waiting));
    assert!(shed <= 40, "load shed: {shed}");
    assert!(waiting <= 184, "load shed with a queue: {waiting}");
    assert!(timeout <= 144, "timeout: {timeout}");
    assert!(throttle <= 40, "throttle: {throttle}");
    assert!(stack <= 256, "stack: {stack}");
    assert!(retry <= 48 + 8, "retry: {retry}");
    // The kept request with the timer; the second inner future has its room.
    assert!(hedge <= 208 + 8, "hedge: {hedge}");
    let large = || service_fn(async |n: u32| with_room(n).await);
    let alone = size_of_val(&large().call(7));
    let hedge = size_of_val(&HedgeLayer::new(Idempotent).layer(large()).call(7));
    assert!(hedge <= 2 * alone + 72, "hedge: {hedge}, over {alone}");
}
