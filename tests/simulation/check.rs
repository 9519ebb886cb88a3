//! The checks themselves: whether what is wrong with a stack is found, and how it is told.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use buttress::LiftLayer;
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::retry::RetryLayer;
use buttress::sim::{
    Clients, Counterexample, Faults, Plan, Report, RetryPolicy, Sim, World, ensure,
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::stacks::{bare, check, ms, seconds, world};
use crate::tools::{Dice, panic_quietly, send};

/// A plan with more in it than is needed to fail.
fn plan() -> Plan {
    let faults = Faults::new()
        .slow("db", 3.0, seconds(1), seconds(1))
        .errors("db", 0.8, seconds(1), seconds(2))
        .pause("db", seconds(3), ms(300));
    world(seconds(4), Clients::open(100.0).spike(2.0, seconds(2), seconds(1)), faults)
}

fn found(wire: impl Fn(&mut World<'_>)) -> Box<Counterexample> {
    found_by(wire, |_| Ok(()))
}

fn found_by(
    wire: impl Fn(&mut World<'_>),
    judge: impl Fn(&Report) -> Result<(), String>,
) -> Box<Counterexample> {
    // As few runs as make the point, whatever the environment asks for.
    check(plan()).seeds(2).at_most(2).run(wire, judge).expect_err("it is planted")
}

#[test]
fn a_planted_failure_is_found_shrunk_and_told() {
    let judge = |report: &Report| {
        let failed = report.servers["db"].failed;
        ensure(failed == 0, || format!("{failed} calls failed"))
    };
    let found = found_by(bare, judge);
    let seed = found.seed.expect("a seed failed");
    let report = Sim::new(seed).run(&plan(), bare);
    assert_eq!((found.trace_hash, found.events), (report.trace_hash, report.events));
    assert_eq!(found.says, format!("{} calls failed", report.servers["db"].failed));

    let (smallest, says) = found.shrunk.clone().expect("a smaller plan");
    assert_eq!(smallest.faults.0.len(), 1, "the errors alone: {smallest:?}");
    assert!(smallest.clients["shop"].spikes.is_empty());
    assert!(smallest.run_for < plan().run_for || smallest.faults.0[0] != plan().faults.0[1]);
    let again = Sim::new(seed).run(&smallest, bare);
    assert_eq!(judge(&again), Err(says), "the smallest plan fails as it is said to");

    let told = found.to_string();
    let test = "check::a_planted_failure_is_found_shrunk_and_told";
    let replay =
        format!("SIM_SEED={seed:#x} cargo test --features sim --test simulation {test} -- --exact");
    for part in [
        format!("{test}: seed {seed:#x} failed"),
        format!("trace {:016x}, {} events", report.trace_hash, report.events),
        replay,
        serde_json::to_string_pretty(&smallest).unwrap(),
    ] {
        assert!(told.contains(&part), "{part:?} is not in:\n{told}");
    }
}

/// Every plan that is small enough fails here, but not for what was found.
#[test]
fn a_failure_is_not_shrunk_into_another() {
    let judge = |report: &Report| {
        let failed = report.servers["db"].failed;
        ensure(report.offered() > 50, || format!("too few requests: {}", report.offered()))?;
        ensure(failed == 0, || format!("failed calls: {failed}"))
    };
    let found = found_by(bare, judge);
    let (smallest, says) = found.shrunk.expect("a smaller plan");
    assert!(says.starts_with("failed calls: "), "{says}");
    assert!(smallest.faults.0.len() == 1 && smallest.run_for < plan().run_for, "{smallest:?}");
}

#[test]
fn a_broken_invariant_is_told_with_its_event() {
    let wire = |world: &mut World<'_>| {
        let events = AtomicU64::new(0);
        world.always("at most 99 events", move || {
            match events.fetch_add(1, Ordering::Relaxed) + 1 {
                100 => Err("one too many".to_owned()),
                _ => Ok(()),
            }
        });
        bare(world);
    };
    let found = found(wire);
    let says = r#"invariant "at most 99 events": one too many, after event 100, at "#;
    assert!(found.says.starts_with(says), "{}", found.says);
    let report = Sim::new(found.seed.unwrap()).run(&plan(), wire);
    let violation = report.violation.expect("broken");
    assert_eq!((violation.invariant.as_str(), violation.event), ("at most 99 events", 100));
    assert!(report.events < 200, "it ends the run: {} events", report.events);
}

#[test]
fn a_leaked_permit_is_told() {
    let found = found(|world| {
        let layer = BulkheadLayer::new(1000);
        let handle = layer.handle();
        world.idle("slots", move || handle.in_flight());
        let (db, dice) = (world.server("db"), Dice::of(world, "leaks"));
        let stack = ServiceBuilder::new().layer(layer).layer(LiftLayer).service(db);
        let leaking = service_fn(move |request| {
            if dice.chance(1) {
                std::mem::forget(Box::pin({
                    let mut stack = stack.clone();
                    tower::Service::call(&mut stack, Clone::clone(&request))
                }));
            }
            stack.clone().oneshot(request)
        });
        world.clients("shop", leaking);
    });
    let says = &found.says;
    assert!(
        says.starts_with("leak: slots: ") && says.ends_with(" left at the end, not 0"),
        "{says}"
    );
}

#[test]
fn a_panic_is_told() {
    let found = found(|world| {
        let (db, dice) = (world.server("db"), Dice::of(world, "panics"));
        let panicking = service_fn(move |request| {
            let (call, panics) = (send(&db, request), dice.chance(5));
            async move {
                let outcome = call.await;
                if panics { panic_quietly() } else { outcome }
            }
        });
        world.clients("shop", panicking);
    });
    let says = &found.says;
    assert!(
        says.starts_with("panic: ") && says.ends_with(" requests of \"shop\" panicked"),
        "{says}"
    );
}

#[test]
fn what_must_happen_sometimes_and_never_does_fails() {
    let wire = |world: &mut World<'_>| {
        let _ = world.sometimes("a blue moon");
        bare(world);
    };
    let never = check(plan()).seeds(1).at_most(1).run(wire, |_| Ok(())).unwrap_err();
    assert_eq!((never.seed, &never.shrunk), (None, &None));
    let text = never.to_string();
    assert!(text.ends_with(r#"sometimes "a blue moon": never, in 1 seeds"#), "{text}");
}

#[test]
fn an_unseeded_retry_is_told() {
    let found = found(|world| {
        let retry = RetryLayer::builder(RetryPolicy).observe(world.observer()).build();
        let db = world.server("db");
        world.clients("shop", ServiceBuilder::new().layer(retry).layer(LiftLayer).service(db));
    });
    assert!(found.says.starts_with("not deterministic: "), "{}", found.says);
}

#[test]
fn an_unseeded_circuit_breaker_is_told() {
    let found = found(|world| {
        let breaker = CircuitBreakerLayer::builder()
            .consecutive_failures(3)
            .open_for(ms(300))
            .observe(world.observer())
            .build();
        let db = world.server("db");
        world.clients("shop", ServiceBuilder::new().layer(breaker).layer(LiftLayer).service(db));
    });
    assert!(found.says.starts_with("not deterministic: "), "{}", found.says);
}

/// What [`run_in_a_child`] runs: nothing, in a run of all tests.
#[test]
fn planted_for_a_child() {
    let Some(fails_from) = std::env::var("PLANTED").ok() else { return };
    let fails_from: u64 = fails_from.parse().unwrap();
    check(plan()).seeds(8).holds(bare, |report| {
        ensure(report.seed < fails_from, || format!("from seed {fails_from} on it fails"))
    });
}

/// The output of the planted test, in a process with these variables and no others of ours.
fn run_in_a_child(fails_from: u64, variables: &[(&str, &str)]) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "check::planted_for_a_child", "--nocapture"]);
    for name in ["SIM_SEED", "SIM_SEEDS", "SIM_SECONDS"] {
        child.env_remove(name);
    }
    child.env("PLANTED", fails_from.to_string()).envs(variables.iter().copied());
    let output = child.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn line<'a>(text: &'a str, with: &str) -> &'a str {
    let found = text.lines().find(|line| line.contains(with));
    found.unwrap_or_else(|| panic!("no line with {with:?} in:\n{text}")).trim()
}

#[test]
fn a_seed_in_the_environment_replays_exactly_that_failure() {
    let first = run_in_a_child(5, &[]);
    let replay = line(&first, "replay: ");
    assert_eq!(
        replay,
        "replay: SIM_SEED=0x5 cargo test --features sim --test simulation \
         check::planted_for_a_child -- --exact"
    );
    let again = run_in_a_child(5, &[("SIM_SEED", "0x5")]);
    for part in ["seed 0x5 failed", "trace ", "replay: "] {
        assert_eq!(line(&first, part), line(&again, part));
    }
    let other = run_in_a_child(5, &[("SIM_SEED", "6")]);
    assert_ne!(line(&first, "trace "), line(&other, "trace "));
}

#[test]
fn seeds_in_the_environment_are_those_that_run() {
    let held = run_in_a_child(99, &[("SIM_SEEDS", "20..23")]);
    assert!(line(&held, "seeds held").starts_with("check::planted_for_a_child: 3 seeds held, "));
    let failed = run_in_a_child(22, &[("SIM_SEEDS", "20..0x20")]);
    assert!(line(&failed, "replay: ").starts_with("replay: SIM_SEED=0x16 "));
}

#[test]
fn nonsense_in_the_environment_is_named() {
    for (name, value, says) in [
        ("SIM_SEEDS", "9..9", r#"SIM_SEEDS is "9..9", allowed is a range that is not empty"#),
        ("SIM_SEED", "two", r#"SIM_SEED is "two", allowed is a seed"#),
        ("SIM_SECONDS", "-1", r#"SIM_SECONDS is "-1", allowed is a number of seconds"#),
    ] {
        let text = run_in_a_child(99, &[(name, value)]);
        assert!(text.contains(says), "{says:?} is not in:\n{text}");
    }
}
