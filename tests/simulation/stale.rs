//! Scenario 17: results of calls from before the circuit changed its state.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use buttress::LiftLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Handle, Phase, Snapshot, Window};
use buttress::observe::{Event, EventKind};
use buttress::sim::{
    Clients, Failures, Faults, Latency, Plan, Request, Server, Sometimes, World, ensure,
};
use tower::{ServiceBuilder, service_fn};

use crate::stacks::{check, ms, seconds};
use crate::tools::{Finding, locked, send};

/// What a circuit must look like when a call from before its last change has ended.
#[derive(Debug, Default)]
struct Stale {
    breaker: OnceLock<Handle>,
    generation: AtomicU64,
    /// Of the call that has just ended: whether it was stale, and the circuit before its result.
    ended: Mutex<Option<(bool, Snapshot)>>,
}

impl Stale {
    fn verify(
        self: Arc<Self>,
        world: &mut World<'_>,
    ) -> impl Fn(&EventKind) + Send + Sync + 'static + use<> {
        let told = Finding::of(world, "stale results are told as such, and no others");
        let moved = Finding::of(world, "stale results change nothing");
        let seen: Vec<Sometimes> = [Phase::Closed, Phase::Open, Phase::HalfOpen]
            .iter()
            .map(|phase| world.sometimes(format!("stale while {phase}")))
            .collect();
        move |kind| {
            let ended = || locked(&self.ended).take().expect("a call has ended");
            match kind {
                EventKind::Transitioned { .. } => {
                    self.generation.fetch_add(1, Ordering::Relaxed);
                }
                EventKind::Settled { .. } => {
                    told.ensure(!ended().0, || "a stale result was settled".to_owned());
                }
                EventKind::LateResult => {
                    let (stale, before) = ended();
                    told.ensure(stale, || "a result of this state is late".to_owned());
                    let after = self.breaker.get().unwrap().snapshot();
                    let phase = after.phase;
                    moved.ensure(before == after, || format!("{before:?} became {after:?}"));
                    seen.get(phase as usize).into_iter().for_each(Sometimes::happened);
                }
                _ => {}
            }
        }
    }
}

fn with_stale_results(world: &mut World<'_>) {
    let stale = Arc::new(Stale::default());
    let verify = Arc::clone(&stale).verify(world);
    let breaker = CircuitBreakerLayer::builder()
        .name("db breaker")
        .classify(Failures)
        .window(Window::time(seconds(1)))
        .open_for(ms(400))
        .open_for_at_most(ms(800))
        // Time changes nothing but the opening: what changes comes from results.
        .half_open_for(seconds(60))
        .seed(world.seed("breaker"))
        .observe(move |event: &Event<'_>| verify(&event.kind))
        .observe(world.observer())
        .build();
    let handle = breaker.handle();
    stale.breaker.set(handle.clone()).unwrap();
    // No transition of a closed circuit, but the end of what was counted.
    let generation = Arc::clone(&stale);
    world.at(seconds(9), move || {
        handle.reset();
        generation.generation.fetch_add(1, Ordering::Relaxed);
    });
    let db = world.server("db");
    let timed = service_fn(move |request: Request| {
        let (stale, call) = (Arc::clone(&stale), send(&db, request));
        let admitted = stale.generation.load(Ordering::Relaxed);
        async move {
            let outcome = call.await;
            let is_stale = stale.generation.load(Ordering::Relaxed) != admitted;
            let before = stale.breaker.get().unwrap().snapshot();
            *locked(&stale.ended) = Some((is_stale, before));
            outcome
        }
    });
    let stack = ServiceBuilder::new()
        .layer(world.interleave("above"))
        .layer(breaker)
        .layer(LiftLayer)
        .service(timed);
    world.clients("shop", stack);
}

#[test]
fn s17_stale_results_change_nothing() {
    let slow = Latency::bimodal(ms(20), ms(1500), 0.2);
    let plan = Plan::new(seconds(11))
        .server("db", Server::workers(1000, slow))
        .clients("shop", Clients::open(80.0).deadline(seconds(10)))
        .faults(Faults::new().errors("db", 1.0, seconds(2), seconds(1)).errors(
            "db",
            1.0,
            seconds(6),
            seconds(1),
        ));
    check(plan).holds(with_stale_results, |report| {
        let late = report.events_of("db breaker", |kind| *kind == EventKind::LateResult);
        ensure(late > 0, || "no result was late".to_owned())
    });
}
