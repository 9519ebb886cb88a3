//! Scenarios 15 and 16: a circuit breaker that is half open.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use buttress::LiftLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Handle, Phase, Window};
use buttress::observe::{Event, EventKind};
use buttress::sim::{Clients, Failures, Faults, Request, World, ensure};
use tower::{ServiceBuilder, service_fn};

use crate::stacks::{check, ms, seconds, world};
use crate::tools::{
    Dice, Finding, OnDrop, Watch, catching, is_refusal, locked, openings, panic_quietly, send,
};

/// The probes of one circuit, counted below it.
#[derive(Debug, Default)]
struct Meter {
    breaker: OnceLock<Handle>,
    /// Half-open periods so far.
    period: AtomicU64,
    /// Probes of this period that are out.
    out: AtomicUsize,
    /// Transitions so far, and how many there were when a call below the breaker was dropped.
    transitions: AtomicU64,
    at_drop: AtomicU64,
}

impl Meter {
    fn phase(&self) -> Phase {
        self.breaker.get().unwrap().phase()
    }

    /// Whether this call is a probe: then it is counted until what is returned is dropped.
    fn enter(self: &Arc<Self>) -> Option<OnDrop<impl FnMut() + use<>>> {
        let period = self.period.load(Ordering::Relaxed);
        let is_probe = self.phase() == Phase::HalfOpen;
        let meter = Arc::clone(self);
        is_probe.then(|| {
            self.out.fetch_add(1, Ordering::Relaxed);
            OnDrop(move || {
                meter.at_drop.store(meter.transitions.load(Ordering::Relaxed), Ordering::Relaxed);
                if meter.period.load(Ordering::Relaxed) == period {
                    meter.out.fetch_sub(1, Ordering::Relaxed);
                }
            })
        })
    }

    fn take(&self, kind: &EventKind) {
        if let EventKind::Transitioned { to, .. } = kind {
            self.transitions.fetch_add(1, Ordering::Relaxed);
            if *to == Phase::HalfOpen {
                self.period.fetch_add(1, Ordering::Relaxed);
                self.out.store(0, Ordering::Relaxed);
            }
        }
    }

    fn out(&self) -> usize {
        self.out.load(Ordering::Relaxed)
    }

    /// At most `probes` at every event, and nobody is refused while one of their slots is free.
    fn limits(
        self: &Arc<Self>,
        world: &mut World<'_>,
        probes: usize,
    ) -> impl Fn(&EventKind) + use<> {
        let meter = Arc::clone(self);
        world.always("concurrent probes", move || match meter.out() {
            out if out <= probes => Ok(()),
            out => Err(format!("{out} probes are out, not {probes} at most")),
        });
        let lost = Finding::of(world, "no slot is lost");
        let contended = world.sometimes(format!("refused beyond {probes} probes"));
        let meter = Arc::clone(self);
        move |kind| {
            meter.take(kind);
            if is_refusal(kind) && meter.phase() == Phase::HalfOpen {
                let out = meter.out();
                lost.ensure(out >= probes, || format!("refused with {out} of {probes} probes out"));
                contended.happened();
            }
        }
    }
}

fn storm(probes: u32) {
    let faults = Faults::new().errors("db", 1.0, seconds(2), seconds(2)).slow(
        "db",
        4.0,
        seconds(3),
        seconds(3),
    );
    let plan = world(seconds(13), Clients::open(120.0).timeout(ms(400)), faults);
    let wire = move |world: &mut World<'_>| {
        let meter = Arc::new(Meter::default());
        let limits = meter.limits(world, probes as usize);
        let breaker = CircuitBreakerLayer::builder()
            .name("db breaker")
            .classify(Failures)
            .window(Window::time(seconds(1)))
            .open_for(ms(200))
            .open_for_at_most(ms(400))
            .probes(probes)
            .seed(world.seed("breaker"))
            .observe(move |event: &Event<'_>| limits(&event.kind))
            .observe(world.observer())
            .build();
        meter.breaker.set(breaker.handle()).unwrap();
        let db = world.server("db");
        let metered = service_fn(move |request: Request| {
            let (probe, call) = (meter.enter(), send(&db, request));
            async move {
                let _probe = probe;
                call.await
            }
        });
        let stack = ServiceBuilder::new()
            .layer(world.interleave("above"))
            .layer(breaker)
            .layer(LiftLayer)
            .service(metered);
        world.clients("shop", stack);
    };
    check(plan).holds(wire, |report| {
        let opened = openings(report, "db breaker");
        ensure(opened > 1, || format!("opened {opened} times"))?;
        let last = report.goodput_between(seconds(12), seconds(13));
        ensure(last >= 0.95, || format!("goodput at the end: {last}"))
    });
}

#[test]
fn s15_one_probe_at_a_time() {
    storm(1);
}

#[test]
fn s15_three_probes_at_a_time() {
    storm(3);
}

#[test]
fn s15_eight_probes_at_a_time() {
    storm(8);
}

/// What becomes of a probe.
#[derive(Clone, Copy)]
enum Fate {
    Passes,
    Hangs,
    PanicsAtOnce,
    PanicsLater,
}

const FATES: [Fate; 5] =
    [Fate::Passes, Fate::Passes, Fate::Hangs, Fate::PanicsAtOnce, Fate::PanicsLater];

/// As long as any opening here lasts.
const OPEN: Duration = ms(500);

/// Nobody is refused for longer than an opening and a second in a row; what is cancelled or panics
/// decides nothing.
fn lives(world: &mut World<'_>, meter: &Arc<Meter>) -> impl Fn(&EventKind) + use<> {
    let dead = Finding::of(world, "live");
    let decided = Finding::of(world, "what has no outcome decides nothing");
    let cancelled = world.sometimes("a probe was cancelled or panicked");
    let (watch, admitted) = (Watch::start(), Mutex::new(Duration::ZERO));
    let meter = Arc::clone(meter);
    move |kind| match kind {
        EventKind::Admitted { .. } => *locked(&admitted) = watch.at(),
        EventKind::Abandoned if meter.phase() == Phase::HalfOpen => {
            cancelled.happened();
            let drop = meter.at_drop.load(Ordering::Relaxed);
            let now = meter.transitions.load(Ordering::Relaxed);
            decided.ensure(drop == now, || "the circuit changed its state".to_owned());
        }
        kind if is_refusal(kind) => {
            let since = watch.since(*locked(&admitted));
            dead.ensure(since <= OPEN + seconds(1), || format!("nobody admitted for {since:?}"));
        }
        _ => {}
    }
}

fn with_sabotaged_probes(world: &mut World<'_>) {
    let meter = Arc::new(Meter::default());
    let (limits, live) = (meter.limits(world, 2), lives(world, &meter));
    let breaker = CircuitBreakerLayer::builder()
        .name("db breaker")
        .classify(Failures)
        .window(Window::time(seconds(1)))
        .open_for(OPEN)
        .open_for_at_most(OPEN)
        .probes(2)
        // What comes back, comes back by itself: nothing is reclaimed in the time of the run.
        .half_open_for(seconds(60))
        .seed(world.seed("breaker"))
        .observe(move |event: &Event<'_>| (limits(&event.kind), live(&event.kind)).1)
        .observe(world.observer())
        .build();
    meter.breaker.set(breaker.handle()).unwrap();
    let (db, dice) = (world.server("db"), Dice::of(world, "fates"));
    let sabotaged = service_fn(move |request: Request| {
        let (probe, call) = (meter.enter(), send(&db, request));
        let fate = if probe.is_some() { dice.one_of(&FATES) } else { Fate::Passes };
        if let Fate::PanicsAtOnce = fate {
            panic_quietly();
        }
        async move {
            let _probe = probe;
            match fate {
                Fate::Passes | Fate::PanicsAtOnce => {}
                Fate::Hangs => std::future::pending().await,
                Fate::PanicsLater => {
                    tokio::time::sleep(ms(20)).await;
                    panic_quietly();
                }
            }
            call.await
        }
    });
    let stack = ServiceBuilder::new().layer(breaker).layer(LiftLayer).service(sabotaged);
    world.clients("shop", catching(stack));
}

#[test]
fn s16_a_probe_that_is_cancelled_or_panics_gives_its_slot_back() {
    let bursts = [1, 4, 7].map(seconds);
    let faults =
        bursts.iter().fold(Faults::new(), |faults, at| faults.errors("db", 1.0, *at, seconds(1)));
    let plan = world(seconds(11), Clients::open(100.0).timeout(ms(250)), faults);
    check(plan).holds(with_sabotaged_probes, |report| {
        let last = report.goodput_between(seconds(10), seconds(11));
        ensure(last >= 0.95, || format!("goodput at the end: {last}"))
    });
}
