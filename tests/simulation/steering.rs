//! Scenarios 38 and 39: services that are readied and never called, and layers that are steered
//! while they are at work.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Handle, Phase, Window};
use buttress::observe::{Event, EventKind};
use buttress::sim::{Clients, Failures, Faults, Latency, Plan, Server, World, ensure};
use buttress::timeout::TimeoutLayer;
use buttress::{Error, LiftLayer};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::stacks::{Stacked, check, client_side, clients, ms, seconds, world};
use crate::tools::{Dice, Finding, is_refusal, locked};

/// Clients that make services ready for calls that never come: one in four drops the service then,
/// one in four keeps it, `kept` of them at most.
fn fickle(world: &mut World<'_>, stack: impl Stacked, kept: usize) -> impl Stacked {
    let dice = Dice::of(world, "fickle");
    let (dropped, held) = (world.sometimes("readied, dropped"), world.sometimes("readied, held"));
    let idle = Arc::new(Mutex::new(VecDeque::new()));
    service_fn(move |request| {
        let fate = dice.below(4);
        if fate < 2 {
            let (mut service, idle) = (stack.clone(), Arc::clone(&idle));
            let (dropped, held) = (dropped.clone(), held.clone());
            drop(tokio::spawn(async move {
                if service.ready().await.is_err() || fate == 0 {
                    dropped.happened();
                    return;
                }
                held.happened();
                let mut idle = locked(&idle);
                idle.push_back(service);
                if idle.len() > kept {
                    idle.pop_front();
                }
            }));
        }
        stack.clone().oneshot(request)
    })
}

#[test]
fn s38_services_that_are_readied_and_never_called_hold_nothing() {
    let plan =
        world(seconds(12), clients(0.5), Faults::new().errors("db", 1.0, seconds(4), ms(1500)));
    let wire = |world: &mut World<'_>| {
        let db = world.server("db");
        let side = client_side(world, "db", db);
        let stack = fickle(world, side, usize::MAX);
        let queue = BulkheadLayer::builder(30).queue(100).observe(world.observer()).build();
        let handle = queue.handle();
        world.idle("queue: in flight", move || handle.in_flight());
        world.clients("shop", queue.layer(stack));
    };
    check(plan).holds(wire, |report| {
        let before = report.goodput_between(seconds(0), seconds(3));
        ensure(before >= 0.99, || format!("goodput before: {before}"))?;
        let recovered = report.recovered_after();
        ensure(recovered.is_some_and(|after| after <= seconds(5)), || {
            format!("well again after {recovered:?}, not within 5 s")
        })
    });
}

/// A gate reserves a probe's slot in `poll_ready`: dropped, it is back at once; held, it is back
/// when the time of a probe is over.
#[test]
fn s38_a_gate_gets_its_reservations_back() {
    let plan =
        world(seconds(12), clients(0.5), Faults::new().errors("db", 1.0, seconds(4), ms(1500)));
    let wire = |world: &mut World<'_>| {
        let breaker = CircuitBreakerLayer::builder()
            .name("db breaker")
            .classify(Failures)
            .window(Window::time(seconds(1)))
            .open_for(ms(200))
            .open_for_at_most(ms(400))
            .gate()
            .seed(world.seed("breaker"))
            .observe(world.observer())
            .build();
        let half_open = world.sometimes("half open");
        let handle = breaker.handle();
        world.always("half open is seen", move || {
            if handle.phase() == Phase::HalfOpen {
                half_open.happened();
            }
            Ok(())
        });
        let db = world.server("db");
        let stack = ServiceBuilder::new().layer(breaker).layer(LiftLayer).service(db);
        let stack = fickle(world, stack, 50);
        world.clients("shop", stack);
    };
    check(plan).holds(wire, |report| {
        let recovered = report.recovered_after();
        ensure(recovered.is_some_and(|after| after <= seconds(5)), || {
            format!("well again after {recovered:?}, not within 5 s")
        })
    });
}

/// The negative control: a limit that is taken in `poll_ready` goes with whoever keeps it.
#[test]
fn s38_a_limit_reserved_in_poll_ready_is_used_up() {
    let plan = world(seconds(12), clients(0.1), Faults::new());
    let wire = |world: &mut World<'_>| {
        let db = world.server("db");
        let limit = ConcurrencyLimitLayer::new(20);
        let stack = ServiceBuilder::new().layer(limit).layer(LiftLayer).service(db);
        let stack = fickle(world, stack, usize::MAX);
        world.clients("shop", stack);
    };
    check(plan).at_most(64).holds(wire, |report| {
        let last = report.goodput_between(seconds(8), seconds(12));
        ensure(last < 0.05, || format!("goodput at the end: {last}"))
    });
}

/// A bulkhead whose limit changes every 50 ms, down to 0 and up to 20.
fn resized(world: &mut World<'_>) {
    let dice = Dice::of(world, "limits");
    let layer = BulkheadLayer::builder(8)
        .name("bulkhead")
        .queue(30)
        .max_wait(ms(200))
        .observe(world.observer())
        .build();
    // Calls that were in flight when the limit was lowered end; nobody comes in their place.
    let ceiling = Arc::new(AtomicUsize::new(8));
    let (handle, top) = (layer.handle(), Arc::clone(&ceiling));
    world.always("never more than the limit, but for those who were in", move || {
        let (held, limit, most) = (handle.in_flight(), handle.limit(), top.load(Ordering::Relaxed));
        top.store(most.min(held).max(limit), Ordering::Relaxed);
        if held <= most { Ok(()) } else { Err(format!("{held} in flight, the limit is {limit}")) }
    });
    let handle = layer.handle();
    world.always("nobody waits for a slot that is free", move || {
        let (held, waiting, limit) = (handle.in_flight(), handle.queued(), handle.limit());
        let served = waiting == 0 || held >= limit;
        if served { Ok(()) } else { Err(format!("{waiting} wait, {held} of {limit} are taken")) }
    });
    let raised = world.sometimes("raised while calls wait");
    let lowered = world.sometimes("lowered below what is in flight");
    for step in 1..100 {
        let (handle, ceiling) = (layer.handle(), Arc::clone(&ceiling));
        let (raised, lowered) = (raised.clone(), lowered.clone());
        let limit = dice.one_of(&[0, 1, 2, 4, 8, 12, 20]);
        world.at(ms(50) * step, move || {
            if limit < handle.in_flight() {
                lowered.happened();
            } else if limit > handle.limit() && handle.queued() > 0 {
                raised.happened();
            }
            ceiling.store(limit.max(handle.in_flight()), Ordering::Relaxed);
            handle.resize(limit);
        });
    }
    let (in_flight, queued) = (layer.handle(), layer.handle());
    world.idle("in flight", move || in_flight.in_flight());
    world.idle("queued", move || queued.queued());
    let db = world.server("db");
    let stack = ServiceBuilder::new()
        .layer(world.interleave("above"))
        .layer(layer)
        .layer(LiftLayer)
        .service(db);
    world.clients("shop", stack);
}

#[test]
fn s39_a_bulkhead_resized_under_load_keeps_its_limits() {
    let server = Server::workers(100, Latency::exponential(ms(30)));
    let clients = Clients::open(250.0).timeout(ms(300));
    let plan = Plan::new(ms(5200)).server("db", server).clients("shop", clients);
    check(plan).holds(resized, |report| {
        let changed =
            report.events_of("bulkhead", |kind| matches!(kind, EventKind::LimitChanged { .. }));
        ensure(changed > 50, || format!("{changed} changes"))
    });
}

/// Every operator's command, each while the service fails or works.
fn steered(world: &mut World<'_>) {
    let obeyed = Finding::of(world, "the operator is obeyed");
    let passed = world.sometimes("passed while disabled");
    let refused = world.sometimes("refused while forced open");
    let handle = Arc::new(OnceLock::<Handle>::new());
    let (known, look) = (Arc::clone(&handle), obeyed.clone());
    let observe = move |event: &Event<'_>| {
        let phase = known.get().unwrap().phase();
        match event.kind {
            EventKind::Admitted { .. } => {
                look.ensure(phase != Phase::ForcedOpen, || "admitted while forced open".to_owned());
                if phase == Phase::Disabled {
                    passed.happened();
                }
            }
            kind if is_refusal(&kind) => {
                look.ensure(phase != Phase::Disabled, || "refused while disabled".to_owned());
                if phase == Phase::ForcedOpen {
                    refused.happened();
                }
            }
            EventKind::Transitioned { from: Phase::ForcedOpen | Phase::Disabled, to } => {
                let steered = matches!(to, Phase::Closed | Phase::ForcedOpen | Phase::Disabled);
                look.ensure(steered, || format!("an operator's state became {to}"));
            }
            _ => {}
        }
    };
    let breaker = CircuitBreakerLayer::builder()
        .name("db breaker")
        .classify(Failures)
        .window(Window::time(seconds(1)))
        .open_for(ms(100))
        .open_for_at_most(ms(300))
        .seed(world.seed("breaker"))
        .observe(observe)
        .observe(world.observer())
        .build();
    handle.set(breaker.handle()).unwrap();
    let dice = Dice::of(world, "commands");
    for step in 1..60 {
        let (handle, obeyed, command) = (breaker.handle(), obeyed.clone(), dice.below(4));
        world.at(ms(100) * step, move || command_and_look(&handle, &obeyed, command));
    }
    let last = breaker.handle();
    world.at(ms(6000), move || last.reset());
    let db = world.server("db");
    world.clients("shop", ServiceBuilder::new().layer(breaker).layer(LiftLayer).service(db));
}

fn command_and_look(handle: &Handle, obeyed: &Finding, command: u64) {
    let before = handle.phase();
    let is_steered = matches!(before, Phase::ForcedOpen | Phase::Disabled);
    let expected = match command {
        0 => {
            handle.force_open("drill");
            Phase::ForcedOpen
        }
        1 => {
            handle.disable();
            Phase::Disabled
        }
        2 => {
            handle.auto();
            if is_steered { Phase::Closed } else { before }
        }
        _ => {
            handle.reset();
            let snapshot = handle.snapshot();
            let fresh = snapshot.calls == 0 && snapshot.openings == 0;
            obeyed.ensure(fresh, || format!("after a reset: {snapshot:?}"));
            Phase::Closed
        }
    };
    let phase = handle.phase();
    obeyed.ensure(phase == expected, || format!("command {command}: {before} became {phase}"));
}

#[test]
fn s39_a_circuit_breaker_obeys_whatever_the_service_does() {
    let faults = [1, 3, 5]
        .iter()
        .fold(Faults::new(), |faults, at| faults.errors("db", 1.0, seconds(*at), seconds(1)));
    let plan = world(seconds(8), Clients::open(120.0), faults);
    check(plan).holds(steered, |report| {
        let last = report.goodput_between(seconds(7), seconds(8));
        ensure(last >= 0.99, || format!("goodput at the end: {last}"))
    });
}

/// Calls that run on after their time, and a drain when no more come.
#[test]
fn s39_detached_calls_drain() {
    let server = Server::workers(100, Latency::uniform(ms(10), ms(400)));
    let clients = Clients::bursts(150.0, seconds(2), seconds(2));
    let plan = Plan::new(seconds(4)).server("db", server).clients("shop", clients);
    let wire = |world: &mut World<'_>| {
        let layer = TimeoutLayer::builder(ms(100)).detach(10).observe(world.observer()).build();
        let (most, drained) = (layer.handle(), Finding::of(world, "drained"));
        world.always("detached calls", move || match most.running() {
            running if running <= 10 => Ok(()),
            running => Err(format!("{running} run, not 10 at most")),
        });
        let (full, handle) = (world.sometimes("as many as may be"), layer.handle());
        world.at(ms(1900), move || {
            if handle.running() == 10 {
                full.happened();
            }
        });
        let (waited, handle) = (world.sometimes("waited for some"), layer.handle());
        world.at(ms(2000), move || {
            drop(tokio::spawn(async move {
                if handle.running() > 0 {
                    waited.happened();
                }
                let left = handle.drain(ms(1000)).await;
                drained.ensure(left.running == 0, || format!("{left:?}"));
            }));
        });
        let db = world.server("db");
        let db = service_fn(move |request| {
            let call = db.clone().oneshot(request);
            async move { call.await.map_err(Error::Service) }
        });
        world.clients("shop", layer.layer(db));
    };
    check(plan).holds(wire, |report| {
        ensure(report.rejections().contains_key("timed_out"), || "none was detached".to_owned())
    });
}
