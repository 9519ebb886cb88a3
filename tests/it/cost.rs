//! What a call costs: allocations, which are none, and the size of its future.

use std::future::{Ready, ready};
use std::mem::size_of_val;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Window};
use buttress::observe::{Observe, ObserveLayer};
use buttress::timeout::{Deadline, TimeoutLayer};
use buttress::{BoxError, Error};
use tower::{Layer, Service, ServiceBuilder, service_fn};

const SECOND: Duration = Duration::from_secs(1);
/// Ten windows of the widest count window below.
const WARM: u32 = 1_000;

type Fault = Error<&'static str>;

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
    let base = || service_fn(inner);
    let count = Window::count(100);
    let stack = ServiceBuilder::new()
        .layer(ObserveLayer::new(observer()))
        .layer(breaker().build())
        .layer(bulkhead())
        .layer(timeout())
        .service(base());
    let queue = BulkheadLayer::builder(10).queue(5).max_wait(SECOND).observe(observer());
    let consecutive = breaker().consecutive_failures(5);
    let slow = breaker().slow_calls(SECOND, 0.5);
    vec![
        ("observe", allocations(ObserveLayer::new(observer()).layer(base()), true)),
        ("timeout", allocations(timeout().layer(base()), true)),
        ("bulkhead", allocations(bulkhead().layer(base()), true)),
        ("bulkhead with a queue", allocations(queue.build().layer(base()), true)),
        ("breaker, consecutive", allocations(consecutive.build().layer(base()), true)),
        ("breaker, time window", allocations(breaker().build().layer(base()), true)),
        ("breaker, count window", allocations(breaker().window(count).build().layer(base()), true)),
        ("breaker, slow calls", allocations(slow.build().layer(base()), true)),
        ("breaker in gate mode", allocations(breaker().gate().build().layer(base()), true)),
        ("the stack", allocations(stack, true)),
    ]
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
    // Nine layers alone and four in the stack, each call with a counter and a histogram.
    let calls = u64::from(WARM + 100) * (9 + 4);
    assert_eq!(recorder.counted(), calls, "the recorder saw the calls");
    assert_eq!(recorder.sampled(), calls);
}

#[cfg(feature = "metrics")]
mod recorder {
    //! A recorder that keeps sums alone. Exporters keep the samples of histograms in blocks, which
    //! they allocate every few dozen samples: theirs, and not the layers'.

    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use metrics::{
        Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit,
    };

    #[derive(Default)]
    pub(super) struct Sum {
        counted: Arc<AtomicU64>,
        sampled: Arc<Samples>,
        gauge: Arc<AtomicU64>,
    }

    #[derive(Default)]
    struct Samples(AtomicU64);

    impl HistogramFn for Samples {
        fn record(&self, _: f64) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Sum {
        pub(super) fn counted(&self) -> u64 {
            self.counted.load(Ordering::Relaxed)
        }

        pub(super) fn sampled(&self) -> u64 {
            self.sampled.0.load(Ordering::Relaxed)
        }
    }

    impl metrics::Recorder for Sum {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.counted.clone())
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.gauge.clone())
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(self.sampled.clone())
        }
    }
}

#[test]
fn a_refusal_allocates_nothing() {
    let base = || service_fn(inner);
    let open = CircuitBreakerLayer::builder().consecutive_failures(1).build();
    let failing = service_fn(|_: u32| ready(Err::<u32, _>(Fault::Service("down"))));
    call(&mut open.layer(failing)).unwrap_err();
    let half_open = CircuitBreakerLayer::new();
    half_open.handle().force_open("drill");
    let late = TimeoutLayer::builder(SECOND)
        .deadline(|_: &u32| Some(Deadline::after(Duration::ZERO)))
        .build();
    let queue = BulkheadLayer::builder(0).queue(5).build();
    let stack = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new())
        .layer(TimeoutLayer::new(SECOND))
        .layer(BulkheadLayer::new(0))
        .service(base());
    assert_none(vec![
        ("bulkhead full", allocations(BulkheadLayer::new(0).layer(base()), false)),
        ("bulkhead and queue full", allocations(queue.layer(base()), false)),
        ("circuit open", allocations(open.layer(base()), false)),
        ("circuit forced open", allocations(half_open.layer(base()), false)),
        ("deadline passed", allocations(late.layer(base()), false)),
        ("a refusal through the stack", allocations(stack, false)),
    ]);
}

/// A test that counts nothing would pass as well.
#[test]
fn an_allocation_is_counted() {
    let boxing =
        service_fn(|n: u32| ready(Ok::<u32, BoxError>(*std::hint::black_box(Box::new(n)))));
    assert_eq!(allocations(BulkheadLayer::new(1).layer(boxing), true), 100);
}

#[test]
fn the_futures_are_as_small_as_documented() {
    let base = || service_fn(inner);
    let alone = size_of_val(&base().call(7));
    let over = |size: usize| size - alone;
    let bulkhead = over(size_of_val(&BulkheadLayer::new(1).layer(base()).call(7)));
    let breaker = over(size_of_val(&CircuitBreakerLayer::new().layer(base()).call(7)));
    let timeout = over(size_of_val(&TimeoutLayer::new(SECOND).layer(base()).call(7)));
    let mut stack = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new())
        .layer(BulkheadLayer::new(1))
        .layer(TimeoutLayer::new(SECOND))
        .service(base());
    let stack = size_of_val(&stack.call(7));
    assert!(bulkhead <= 32, "bulkhead: {bulkhead}");
    assert!(breaker <= 40, "breaker: {breaker}");
    assert!(timeout <= 144, "timeout: {timeout}");
    assert!(stack <= 256, "stack: {stack}");
}
