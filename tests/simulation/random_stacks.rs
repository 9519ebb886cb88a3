//! Scenario 37: stacks of any layers in any order, over any plan.

mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use buttress::bulkhead::{self, BulkheadLayer, QueueOrder};
use buttress::circuit_breaker::{CircuitBreakerLayer, Window};
use buttress::hedge::{Delay, HedgeLayer};
use buttress::observe::{Event, EventKind, ObserveLayer};
use buttress::retry::{Backoff, Budget, Jitter, RetryLayer};
use buttress::sim::{Endpoint, Failure, Failures, Request, Response, RetryPolicy, World};
use buttress::timeout::{Deadline, FromRequest, TimeoutLayer};
use buttress::{Error, Reason, Rejected};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

use crate::random_plans::any_plan;
use crate::stacks::{Stacked, check_of, ms, seconds};
use crate::tools::{Dice, Finding, Watch, locked, send};

type Stack = BoxCloneSyncService<Request, Response, Error<Failure>>;

const OPEN_AT_MOST: Duration = seconds(2);

fn boxed(stack: impl Stacked) -> Stack {
    BoxCloneSyncService::new(stack)
}

/// What a layer of the stack may refuse with.
#[derive(Clone, Copy, Debug)]
enum Refuses {
    Full,
    /// After this long, if at all.
    Waiting(Option<Duration>),
    AtTheLimit,
    WaitingAtTheLimit(Option<Duration>),
    Overload,
    Open,
    After(Duration),
    /// Once an attempt was made, and there is no time for the next.
    Late,
}

/// What the refusals of a run are held against.
#[derive(Debug, Default)]
struct Truth {
    /// By the names of the layers.
    layers: BTreeMap<String, Refuses>,
    /// The requests that came to the bottom of the stack.
    seen: Mutex<BTreeSet<u64>>,
    /// Requests at the top, attempts at the bottom.
    asked: AtomicU64,
    sent: AtomicU64,
    /// The most attempts that the layers make of one request.
    fan: u64,
}

impl Truth {
    /// What is wrong with this refusal of a request that came in at `from`.
    fn lie(&self, rejected: &Rejected, request: &Request, took: Duration) -> Option<String> {
        let name = rejected.name().unwrap_or_default();
        let Some(layer) = self.layers.get(name) else {
            return Some("no layer has this name".to_owned());
        };
        let is_late = request.deadline.is_some_and(Deadline::has_passed);
        let fits = match (*layer, rejected.reason()) {
            (Refuses::Full | Refuses::Waiting(_), Reason::BulkheadFull)
            | (Refuses::AtTheLimit | Refuses::WaitingAtTheLimit(_), Reason::LimitReached)
            | (Refuses::Overload, Reason::Overloaded) => true,
            (Refuses::Waiting(most) | Refuses::WaitingAtTheLimit(most), Reason::QueueTimedOut) => {
                most.is_some_and(|most| took >= most)
            }
            (Refuses::After(limit), Reason::TimedOut) => took >= limit,
            (
                Refuses::Waiting(_)
                | Refuses::WaitingAtTheLimit(_)
                | Refuses::After(_)
                | Refuses::Late,
                Reason::DeadlineExceeded,
            ) => is_late,
            (Refuses::Open, Reason::CircuitOpen) => {
                rejected.retry_after().is_some_and(|wait| wait <= OPEN_AT_MOST)
            }
            _ => false,
        };
        if !fits {
            return Some(format!("after {took:?}, from {layer:?}, late: {is_late}"));
        }
        let seen = locked(&self.seen).contains(&request.id);
        (seen && !rejected.was_dispatched()).then(|| "the server has seen the request".to_owned())
    }
}

/// One to six layers over a server.
fn stack(world: &mut World<'_>, dice: &Dice, db: Endpoint) -> (Stack, Arc<Truth>) {
    let truth = Arc::new(OnceLock::<Arc<Truth>>::new());
    let bottom = Arc::clone(&truth);
    let mut stack = boxed(service_fn(move |request: Request| {
        let truth = bottom.get().unwrap();
        locked(&truth.seen).insert(request.id);
        truth.sent.fetch_add(1, Ordering::Relaxed);
        let call = send(&db, request);
        async move { call.await.map_err(Error::Service) }
    }));
    let mut told = Truth { fan: 1, ..Truth::default() };
    for index in 0..dice.within(1..7) {
        stack = layer(world, dice, stack, &mut told, index);
        if dice.chance(30) {
            stack = boxed(world.interleave(&format!("{index}")).layer(stack));
        }
    }
    truth.set(Arc::new(told)).unwrap();
    (stack, Arc::clone(truth.get().unwrap()))
}

fn layer(world: &mut World<'_>, dice: &Dice, inner: Stack, told: &mut Truth, index: u64) -> Stack {
    let name = |kind: &str| format!("{kind} {index}");
    match dice.below(12) {
        0 => {
            let name = name("observe");
            boxed(ObserveLayer::builder(world.observer()).name(name).build().layer(inner))
        }
        1 => timeout(world, dice, inner, told, &name("timeout")),
        2 => detaching(world, dice, inner, told, &name("detaching timeout")),
        3 => refusing(world, dice, inner, told, &name("bulkhead")),
        4 => queueing(world, dice, inner, told, &name("queue")),
        5 | 6 => breaker(world, dice, inner, told, &name("breaker")),
        7 => retry(world, dice, inner, told, &name("retry")),
        8 => limits::adaptive_limit(world, dice, inner, told, &name("adaptive limit")),
        9 => limits::load_shed(world, dice, inner, told, &name("load shed")),
        10 => limits::throttle(world, dice, inner, told, &name("throttle")),
        _ => hedge(world, dice, inner, told, &name("hedge")),
    }
}

fn timeout(world: &World<'_>, dice: &Dice, inner: Stack, told: &mut Truth, name: &str) -> Stack {
    let limit = dice.millis(5..800);
    told.layers.insert(name.to_owned(), Refuses::After(limit));
    let builder = TimeoutLayer::builder(limit).name(name).observe(world.observer());
    let builder = if dice.chance(30) { builder.also_readiness() } else { builder };
    if dice.chance(50) {
        boxed(builder.deadline(FromRequest).build().layer(inner))
    } else {
        boxed(builder.build().layer(inner))
    }
}

fn detaching(
    world: &mut World<'_>,
    dice: &Dice,
    inner: Stack,
    told: &mut Truth,
    name: &str,
) -> Stack {
    let (limit, most) = (dice.millis(5..800), dice.size(1..20));
    told.layers.insert(name.to_owned(), Refuses::After(limit));
    let builder = TimeoutLayer::builder(limit).name(name).observe(world.observer());
    let layer = builder.deadline(FromRequest).detach(most).build();
    let handle = layer.handle();
    world.always(format!("{name}: detached calls"), move || match handle.running() {
        running if running <= most => Ok(()),
        running => Err(format!("{running} run, not {most} at most")),
    });
    let handle = layer.handle();
    world.idle(format!("{name}: detached calls"), move || handle.running());
    boxed(layer.layer(inner))
}

fn refusing(
    world: &mut World<'_>,
    dice: &Dice,
    inner: Stack,
    told: &mut Truth,
    name: &str,
) -> Stack {
    told.layers.insert(name.to_owned(), Refuses::Full);
    let limit = dice.size(0..20);
    let observe = truthful_when_full(world, name);
    let layer = BulkheadLayer::builder(limit)
        .name(name)
        .observe(move |event: &Event<'_>| observe.1(event))
        .observe(world.observer())
        .build();
    observe.0.set(layer.handle()).unwrap();
    limited(world, name, limit, &layer.handle());
    boxed(layer.layer(inner))
}

fn queueing(
    world: &mut World<'_>,
    dice: &Dice,
    inner: Stack,
    told: &mut Truth,
    name: &str,
) -> Stack {
    let max_wait = dice.chance(70).then(|| dice.millis(1..300));
    told.layers.insert(name.to_owned(), Refuses::Waiting(max_wait));
    let limit = dice.size(1..12);
    let builder = BulkheadLayer::builder(limit)
        .name(name)
        .observe(world.observer())
        .queue(dice.size(0..30))
        .order(dice.one_of(&[QueueOrder::Fifo, QueueOrder::Lifo, QueueOrder::Adaptive]));
    let builder = max_wait.into_iter().fold(builder, bulkhead::Builder::max_wait);
    let layer = builder.deadline(FromRequest).build();
    let handle = layer.handle();
    world.idle(format!("{name}: queued"), move || handle.queued());
    limited(world, name, limit, &layer.handle());
    boxed(layer.layer(inner))
}

/// A refusal is told while there is no slot.
fn truthful_when_full(
    world: &mut World<'_>,
    name: &str,
) -> (Arc<OnceLock<bulkhead::Handle>>, impl Fn(&Event<'_>) + Send + Sync + use<>) {
    let untrue = Finding::of(world, &format!("{name}: refuses when full"));
    let handle = Arc::new(OnceLock::<bulkhead::Handle>::new());
    let known = Arc::clone(&handle);
    let observe = move |event: &Event<'_>| {
        if let (EventKind::Rejected(_), Some(handle)) = (event.kind, known.get()) {
            let (held, limit) = (handle.in_flight(), handle.limit());
            untrue.ensure(held >= limit, || format!("{held} of {limit} slots are taken"));
        }
    };
    (handle, observe)
}

fn limited(world: &mut World<'_>, name: &str, limit: usize, handle: &bulkhead::Handle) {
    let (now, end) = (handle.clone(), handle.clone());
    world.always(format!("{name}: limit"), move || match now.in_flight() {
        held if held <= limit => Ok(()),
        held => Err(format!("{held} of {limit} slots are taken")),
    });
    world.idle(format!("{name}: in flight"), move || end.in_flight());
}

fn breaker(world: &World<'_>, dice: &Dice, inner: Stack, told: &mut Truth, name: &str) -> Stack {
    told.layers.insert(name.to_owned(), Refuses::Open);
    let window = if dice.chance(50) {
        Window::time(dice.millis(200..3000))
    } else {
        Window::count(dice.count(1..50))
    };
    let mut builder = CircuitBreakerLayer::builder()
        .name(name)
        .classify(Failures)
        .window(window)
        .minimum_calls(dice.count(1..30))
        .open_for(dice.millis(10..1000))
        .open_for_at_most(OPEN_AT_MOST)
        .probes(dice.count(1..5))
        .close_after(dice.count(1..5))
        .seed(world.seed(name))
        .observe(world.observer());
    if dice.chance(30) {
        builder = builder.consecutive_failures(dice.count(1..10));
    }
    if dice.chance(30) {
        builder = builder.slow_calls(dice.millis(5..200), 0.5);
    }
    if dice.chance(20) {
        builder = builder.ramp(OPEN_AT_MOST);
    }
    if dice.chance(20) {
        builder = builder.gate();
    }
    boxed(builder.build().layer(inner))
}

fn retry(world: &World<'_>, dice: &Dice, inner: Stack, told: &mut Truth, name: &str) -> Stack {
    let attempts = dice.count(1..5);
    told.fan *= u64::from(attempts);
    told.layers.insert(name.to_owned(), Refuses::Late);
    let jitters = [Jitter::Full, Jitter::Equal, Jitter::Decorrelated, Jitter::None];
    let layer = RetryLayer::builder(RetryPolicy)
        .name(name)
        .max_attempts(attempts)
        .backoff(Backoff::exponential(ms(5), ms(200)).jitter(dice.one_of(&jitters)))
        .overload_base(ms(20))
        .budget(budget(dice))
        .seed(world.seed(name))
        .observe(world.observer())
        .build();
    boxed(layer.layer(inner))
}

fn hedge(world: &World<'_>, dice: &Dice, inner: Stack, told: &mut Truth, name: &str) -> Stack {
    told.fan *= 2;
    let after =
        if dice.chance(70) { Delay::Fixed(dice.millis(1..200)) } else { Delay::Percentile(0.9) };
    let layer = HedgeLayer::builder(RetryPolicy)
        .name(name)
        .delay(after)
        .budget(budget(dice))
        .observe(world.observer())
        .build();
    boxed(layer.layer(inner))
}

fn budget(dice: &Dice) -> Budget {
    match dice.below(3) {
        0 => Budget::ratio(0.5),
        1 => Budget::in_flight(0.5),
        _ => Budget::tokens(20, 0.5),
    }
}

/// A stack drawn by the seed, its refusals held against the truth.
pub(crate) fn any_stack(world: &mut World<'_>) -> impl Stacked + use<> {
    let dice = Dice::of(world, "stack");
    let db = world.server("db");
    let (stack, truth) = stack(world, &dice, db);
    let lie = Finding::of(world, "refusals are truthful");
    let mixed_up = Finding::of(world, "each gets its own answer");
    let counts = Arc::clone(&truth);
    world.always("attempts", move || {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (asked, sent, most) = (count(&counts.asked), count(&counts.sent), counts.fan);
        if sent <= asked * most { Ok(()) } else { Err(format!("{sent} of {asked} times {most}")) }
    });
    let refused = world.sometimes("refused");
    let sent_and_refused = world.sometimes("refused after an attempt was sent");
    let watch = Watch::start();
    service_fn(move |request: Request| {
        let (call, from) = (stack.clone().oneshot(request.clone()), watch.at());
        truth.asked.fetch_add(1, Ordering::Relaxed);
        let (truth, lie, mixed_up) = (Arc::clone(&truth), lie.clone(), mixed_up.clone());
        let (refused, sent_and_refused) = (refused.clone(), sent_and_refused.clone());
        async move {
            let outcome = call.await;
            match &outcome {
                Ok(answer) => {
                    mixed_up.ensure(answer.id == request.id, || format!("{answer:?}"));
                }
                Err(Error::Rejected(rejected)) => {
                    refused.happened();
                    if rejected.was_dispatched() {
                        sent_and_refused.happened();
                    }
                    if let Some(why) = truth.lie(rejected, &request, watch.since(from)) {
                        lie.ensure(false, || format!("{rejected}: {why}"));
                    }
                }
                Err(Error::Service(_)) => {}
            }
            outcome
        }
    })
}

#[test]
fn s37_any_layers_in_any_order_over_any_plan() {
    let wire = |world: &mut World<'_>| {
        let stack = any_stack(world);
        world.clients("shop", stack.clone());
        world.clients("till", stack);
    };
    check_of(any_plan).holds(wire, |_| Ok(()));
}
