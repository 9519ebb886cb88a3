//! Calls that are dropped, at every point and a million times, and calls that panic.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress::adaptive_limit::{self, AdaptiveLimitLayer};
use buttress::bulkhead::{self, BulkheadLayer, QueueOrder};
use buttress::circuit_breaker::{self, CircuitBreakerLayer, Phase};
use buttress::classify::classify_fn;
use buttress::hedge::{Delay, HedgeLayer};
use buttress::observe::{Event, EventKind, Stage};
use buttress::retry::{Budget, Idempotent, RetryLayer};
use buttress::timeout::TimeoutLayer;
use buttress::{Class, Error};
use tower::util::BoxCloneService;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

type Fault = Error<&'static str>;
type Stack = BoxCloneService<Do, (), Fault>;
type Call = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

/// What the inner service does: becomes ready after so many polls, or never, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Do {
    Answer(u32),
    Fail(u32),
    Hang,
    PanicInCall,
    PanicInPoll,
    PanicInClassifier,
}

async fn inner(what: Do) -> Result<(), Fault> {
    match what {
        Do::Answer(polls) => {
            yields(polls).await;
            Ok(())
        }
        Do::Fail(polls) => {
            yields(polls).await;
            Err(Error::Service("down"))
        }
        Do::Hang => std::future::pending().await,
        Do::PanicInPoll => panic!("in the future"),
        Do::PanicInCall => unreachable!("it panics before there is a future"),
        Do::PanicInClassifier => Err(Error::Service("panic")),
    }
}

async fn yields(polls: u32) {
    for _ in 0..polls {
        tokio::task::yield_now().await;
    }
}

fn judge(outcome: Result<&(), &Fault>) -> Class {
    match outcome {
        Ok(()) => Class::Success,
        Err(Error::Service("panic")) => panic!("in the classifier"),
        Err(Error::Service(_)) => Class::Transient,
        Err(Error::Rejected(_)) => Class::Ignore,
    }
}

/// Calls that each layer has admitted or let wait, and not yet reported the end of.
#[derive(Default)]
struct Open {
    calls: AtomicUsize,
    abandoned: AtomicUsize,
}

impl Open {
    fn note(&self, event: &Event<'_>) {
        match (event.kind, event.stage) {
            (EventKind::Queued, _) | (EventKind::Admitted { .. }, Stage::Arriving) => {
                self.calls.fetch_add(1, Ordering::SeqCst);
            }
            (EventKind::Settled { .. } | EventKind::LateResult | EventKind::Abandoned, _)
            | (EventKind::Rejected(_), Stage::Waiting | Stage::InFlight) => {
                self.calls.fetch_sub(1, Ordering::SeqCst);
            }
            _ => {}
        }
        if event.kind == EventKind::Abandoned {
            self.abandoned.fetch_add(1, Ordering::SeqCst);
        }
    }
}

struct Rig {
    stack: Stack,
    bulkhead: bulkhead::Handle,
    limit: adaptive_limit::Handle,
    breaker: circuit_breaker::Handle,
    /// Further attempts that may be in flight: all of these, where none is.
    further: Budget,
    open: Arc<Open>,
}

const FURTHER: u32 = 1000;

impl Rig {
    fn new(limit: usize, queue: usize, order: QueueOrder) -> Self {
        let open = Arc::<Open>::default();
        let observer = || {
            let open = open.clone();
            move |event: &Event<'_>| open.note(event)
        };
        let breaker = CircuitBreakerLayer::builder()
            .consecutive_failures(3)
            .open_for(Duration::from_millis(20))
            .open_for_at_most(Duration::from_millis(40))
            .classify(classify_fn(judge))
            .observe(observer())
            .seed(7)
            .build();
        let bulkhead = BulkheadLayer::builder(limit)
            .queue(queue)
            .max_wait(Duration::from_millis(30))
            .order(order)
            .observe(observer())
            .build();
        // Below the bulkhead, and as often full.
        let adaptive = AdaptiveLimitLayer::builder()
            .max(limit.div_ceil(2))
            .initial(limit.div_ceil(2))
            .queue(queue)
            .max_wait(Duration::from_millis(30))
            .order(order)
            .classify(classify_fn(judge))
            .observe(observer())
            .build();
        let timeout = TimeoutLayer::builder(Duration::from_millis(50)).observe(observer()).build();
        let further = Budget::in_flight(0.1).at_least(FURTHER);
        let hedge = HedgeLayer::builder(Idempotent)
            .delay(Delay::Fixed(Duration::from_millis(1)))
            .budget(further.clone())
            .observe(observer())
            .build();
        let retry = RetryLayer::builder(Idempotent)
            .delays(|| [Duration::ZERO, Duration::from_millis(5)])
            .budget(further.clone())
            .observe(observer())
            .build();
        let (handle, circuit) = (bulkhead.handle(), breaker.handle());
        let limit = adaptive.handle();
        let base = service_fn(|what: Do| {
            assert_ne!(what, Do::PanicInCall, "in call");
            inner(what)
        });
        let stack = ServiceBuilder::new()
            .layer(hedge)
            .layer(retry)
            .layer(breaker)
            .layer(bulkhead)
            .layer(adaptive)
            .layer(timeout)
            .service(base);
        let stack = BoxCloneService::new(stack);
        Self { stack, bulkhead: handle, limit, breaker: circuit, further, open }
    }

    fn start(&self, what: Do) -> Call {
        Box::pin(self.stack.clone().oneshot(what))
    }

    #[track_caller]
    fn assert_empty(&self) {
        assert_eq!((self.bulkhead.in_flight(), self.bulkhead.queued()), (0, 0));
        assert_eq!((self.limit.in_flight(), self.limit.queued()), (0, 0));
        assert!((self.further.available() - f64::from(FURTHER)).abs() < 1e-9, "in flight");
        assert_eq!(self.open.calls.load(Ordering::SeqCst), 0, "calls whose end nobody reported");
    }
}

/// One poll; whether it is over. A panic is an end as well.
fn poll(call: &mut Call) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx)));
    !matches!(polled, Ok(Poll::Pending))
}

#[tokio::test(start_paused = true)]
async fn dropped_at_every_point_a_call_leaves_nothing_behind() {
    for polls in 0..8 {
        for what in [Do::Answer(5), Do::Fail(5), Do::Hang] {
            let rig = Rig::new(1, 1, QueueOrder::Fifo);
            let mut first = rig.start(what);
            let mut waiting = rig.start(what);
            for _ in 0..polls {
                let _ = poll(&mut first);
                let _ = poll(&mut waiting);
            }
            drop(first);
            drop(waiting);
            rig.assert_empty();
            rig.start(Do::Answer(0)).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_dropped_while_it_is_granted_passes_the_slot_on() {
    let rig = Rig::new(1, 3, QueueOrder::Fifo);
    let mut calls: Vec<_> = (0..4).map(|_| rig.start(Do::Hang)).collect();
    for call in &mut calls {
        assert!(!poll(call));
    }
    assert_eq!((rig.bulkhead.in_flight(), rig.bulkhead.queued()), (1, 3));
    let third = calls.remove(2);
    drop(calls.remove(0)); // Grants the second, which is never polled again.
    assert_eq!((rig.bulkhead.in_flight(), rig.bulkhead.queued()), (1, 2));
    drop(calls.remove(0));
    assert_eq!((rig.bulkhead.in_flight(), rig.bulkhead.queued()), (1, 1));
    drop(third);
    assert_eq!((rig.bulkhead.in_flight(), rig.bulkhead.queued()), (1, 0));
    drop(calls);
    rig.assert_empty();
}

#[tokio::test(start_paused = true)]
async fn panics_in_call_in_the_future_and_in_the_classifier_are_abandoned_calls() {
    let rig = Rig::new(2, 0, QueueOrder::Fifo);
    for (what, layers) in [(Do::PanicInCall, 6), (Do::PanicInPoll, 6), (Do::PanicInClassifier, 5)] {
        for _ in 0..100 {
            let before = rig.open.abandoned.load(Ordering::SeqCst);
            let mut call = rig.start(what);
            assert!(poll(&mut call), "it panicked");
            drop(call);
            rig.assert_empty();
            assert_eq!(rig.open.abandoned.load(Ordering::SeqCst) - before, layers, "{what:?}");
        }
        assert_eq!(rig.breaker.phase(), Phase::Closed, "a panic decides nothing");
    }
    rig.start(Do::Answer(0)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn panics_in_the_users_closures_hold_nothing() {
    let panics = |_: &u32| -> Option<buttress::timeout::Deadline> { panic!("in a closure") };
    let base = service_fn(async |n: u32| Ok::<_, Fault>(n));
    let bulkhead =
        BulkheadLayer::builder(1).partition(|n: &u32| [7u32, 8][*n as usize], [(7, 0.5)]).build();
    let handle = bulkhead.handle();
    let timeout = TimeoutLayer::builder(Duration::from_secs(1)).deadline(panics).build();
    let mut service = ServiceBuilder::new().layer(bulkhead).layer(timeout).service(base);
    for request in [0, 9] {
        service.ready().await.unwrap();
        let called = catch_unwind(AssertUnwindSafe(|| drop(service.call(request))));
        assert!(called.is_err());
        assert_eq!(handle.in_flight(), 0);
    }
}

/// A small generator: proptest's would be the better part of a million cancels.
struct Draw(Cell<u64>);

impl Draw {
    fn below(&self, bound: u64) -> u64 {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        x % bound
    }
}

#[tokio::test(start_paused = true)]
async fn cancels_alone_never_open_a_circuit() {
    let rig = Rig::new(8, 8, QueueOrder::Fifo);
    let draw = Draw(Cell::new(0x9E37_79B9_7F4A_7C15));
    for _ in 0..20_000 {
        let mut calls: Vec<_> = (0..4).map(|_| rig.start(Do::Hang)).collect();
        while let Some(mut call) = calls.pop() {
            for _ in 0..draw.below(4) {
                assert!(!poll(&mut call));
            }
        }
        assert_eq!(rig.breaker.phase(), Phase::Closed);
    }
    assert_eq!(rig.breaker.snapshot().consecutive_failures, 0);
    rig.assert_empty();
}

#[tokio::test(start_paused = true)]
async fn a_million_random_cancels_leave_0_in_flight() {
    const CANCELS: usize = 1_000_000;
    for order in [QueueOrder::Fifo, QueueOrder::Lifo, QueueOrder::Adaptive] {
        let rig = Rig::new(8, 8, order);
        let draw = Draw(Cell::new(0x2545_F491_4F6C_DD1D));
        let (mut cancelled, mut opened, mut queued, mut limited) = (0, 0, 0, 0);
        let mut out: Vec<Call> = Vec::new();
        while cancelled < CANCELS / 3 + 1 {
            match draw.below(100) {
                0..50 => out.push(rig.start(match draw.below(20) {
                    0..10 => Do::Answer(u32::try_from(draw.below(4)).unwrap()),
                    10..12 => Do::Fail(u32::try_from(draw.below(4)).unwrap()),
                    _ => Do::Hang,
                })),
                50..80 if !out.is_empty() => {
                    let n = usize::try_from(draw.below(out.len() as u64)).unwrap();
                    if poll(&mut out[n]) {
                        drop(out.swap_remove(n));
                    }
                }
                80..99 if !out.is_empty() => {
                    let n = usize::try_from(draw.below(out.len() as u64)).unwrap();
                    drop(out.swap_remove(n));
                    cancelled += 1;
                }
                99 if draw.below(20) == 0 => tokio::time::advance(Duration::from_millis(9)).await,
                _ => {}
            }
            if out.len() > 40 {
                cancelled += out.drain(..20).count();
            }
            opened += usize::from(rig.breaker.phase() == Phase::Open);
            queued += usize::from(rig.bulkhead.queued() > 0);
            limited += usize::from(rig.limit.queued() > 0);
            assert!(rig.bulkhead.in_flight() <= 8, "above the limit");
        }
        drop(out);
        rig.assert_empty();
        assert!(opened > 1_000 && queued > 1_000, "opened {opened}, queued {queued}");
        assert!(limited > 1_000, "in line for the adaptive limit {limited} times");
    }
}
