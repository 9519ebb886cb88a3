//! Scenario 18: a service that is up and down again.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use buttress::LiftLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Handle, Phase, Window};
use buttress::observe::{Event, EventKind};
use buttress::sim::{Clients, Failures, Faults, Plan, Report, World, ensure};
use tower::ServiceBuilder;

use crate::stacks::{check_of, seconds, world};
use crate::tools::{Dice, Finding, Watch, is_opening, locked, openings};

const FLAPPING: Duration = seconds(60);
const BASE: Duration = seconds(1);
const LONGEST: Duration = seconds(16);
const SPAN: Duration = seconds(5);

/// Up and down for a minute, never up for as long as the window is.
fn flaps(seed: u64) -> Plan {
    let dice = Dice::new(seed);
    let (mut faults, mut at) = (Faults::new(), seconds(2));
    while at < FLAPPING {
        let down = dice.millis(700..3000);
        faults = faults.errors("db", 1.0, at, down);
        at += down + dice.millis(300..3000);
    }
    world(FLAPPING, Clients::open(60.0), faults)
}

/// The `k`-th opening in a row lasts at most this long, and at least half of it.
fn grown(k: u32, longest: Duration) -> Duration {
    (BASE * 2_u32.pow(k - 1)).min(longest)
}

/// How many openings there can be if each backs off from the one before.
fn most_openings() -> u64 {
    let mut at = Duration::ZERO;
    let begun = (1_u32..).take_while(|k| {
        let fits = at <= FLAPPING;
        at += grown((*k).min(5), LONGEST) / 2;
        fits
    });
    begun.count() as u64
}

fn flapping(longest: Duration) -> impl Fn(&mut World<'_>) {
    move |world| {
        let backs_off = Finding::of(world, "each opening lasts as long as its number says");
        let five = world.sometimes("five openings in a row");
        let (handle, watch) = (Arc::new(OnceLock::<Handle>::new()), Watch::start());
        let (breaker, opened) = (Arc::clone(&handle), Mutex::new((0, Duration::ZERO)));
        let observe = move |event: &Event<'_>| match event.kind {
            kind if is_opening(&kind) => {
                let k = breaker.get().unwrap().snapshot().openings;
                let before = std::mem::replace(&mut *locked(&opened), (k, watch.at()));
                let next = before.0 + 1;
                backs_off.ensure(k == next, || format!("opening {next} in a row counts as {k}"));
                if k >= 5 {
                    five.happened();
                }
            }
            EventKind::Transitioned { from: Phase::Open, .. } => {
                let (k, since) = *locked(&opened);
                let (lasted, most) = (watch.since(since), grown(k.min(6), longest));
                let fits = lasted >= most / 2 && lasted <= most + seconds(1);
                backs_off.ensure(fits, || format!("opening {k} lasted {lasted:?}"));
            }
            _ => {}
        };
        let layer = CircuitBreakerLayer::builder()
            .name("db breaker")
            .classify(Failures)
            .window(Window::time(SPAN))
            .consecutive_failures(5)
            .open_for(BASE)
            .open_for_at_most(longest)
            .close_after(1)
            .seed(world.seed("breaker"))
            .observe(observe)
            .observe(world.observer())
            .build();
        handle.set(layer.handle()).unwrap();
        let db = world.server("db");
        world.clients("shop", ServiceBuilder::new().layer(layer).layer(LiftLayer).service(db));
    }
}

fn opened_at_most(report: &Report, most: u64) -> Result<(), String> {
    let opened = openings(report, "db breaker");
    ensure(opened <= most, || format!("{opened} openings, not {most} at most"))
}

#[test]
fn s18_a_flapping_service_is_left_alone_for_longer_and_longer() {
    let each_of_the_shortest = FLAPPING.as_millis() / (BASE / 2).as_millis() + 1;
    assert!(u128::from(most_openings()) < each_of_the_shortest, "sharper than T / open_min + 1");
    check_of(flaps).holds(flapping(LONGEST), |report| opened_at_most(report, most_openings()));
}

/// The negative control: the bound is one that only backing off keeps.
#[test]
fn s18_without_backing_off_there_are_more_openings() {
    check_of(flaps).at_most(64).holds(flapping(BASE), |report| {
        let broken = opened_at_most(report, most_openings()).is_err();
        ensure(broken, || "as few openings as with longer and longer ones".to_owned())
    });
}
