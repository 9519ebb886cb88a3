//! Scenario 40: the same seed, the same trace, in every process and every build.

use std::process::Command;

use buttress::sim::{Faults, Plan, Sim, World};

use crate::random_plans::any_plan;
use crate::random_stacks::any_stack;
use crate::stacks::{TRIGGER, clients, full, seconds, world};

/// Traces as they were when this was written. They change with whatever changes what happens in a
/// run, or when: an algorithm, a default, an event. Then run
/// `cargo test --features sim --test simulation s40 -- --nocapture` and copy what it prints, once
/// it is clear why they have changed.
const TRACES: [(&str, u64, u64); 4] = [
    ("full stack, slow", 0x1, 0xa1bb_7ad2_adfa_0ad0),
    ("full stack, errors", 0x2a, 0x9448_b18a_6894_5cad),
    ("any stack", 0x2, 0xf1c1_0280_42ee_bf8e),
    ("any stack", 0xb, 0xce36_8c55_8838_bcce),
];

fn trace(name: &str, seed: u64) -> u64 {
    let (at, lasting) = TRIGGER;
    let full_stack = |faults| world(seconds(30), clients(0.75), faults);
    let any = |world: &mut World<'_>| {
        let stack = any_stack(world);
        world.clients("shop", stack.clone());
        world.clients("till", stack);
    };
    let run = |plan: &Plan, wire: &dyn Fn(&mut World<'_>)| Sim::new(seed).run(plan, wire);
    let report = match name {
        "full stack, slow" => run(&full_stack(Faults::new().slow("db", 10.0, at, lasting)), &full),
        "full stack, errors" => {
            run(&full_stack(Faults::new().errors("db", 1.0, at, lasting)), &full)
        }
        _ => run(&any_plan(seed), &any),
    };
    report.trace_hash
}

fn traces() -> Vec<String> {
    let all = TRACES.iter().map(|&(name, seed, _)| (name, seed, trace(name, seed)));
    all.map(|(name, seed, hash)| format!("(\"{name}\", {seed:#x}, {hash:#018x}),")).collect()
}

#[test]
fn s40_traces_are_as_they_were() {
    let traces = traces();
    for trace in &traces {
        println!("{trace}");
    }
    let known = TRACES.map(|(name, seed, hash)| format!("(\"{name}\", {seed:#x}, {hash:#018x}),"));
    assert_eq!(traces, known);
}

#[test]
fn s40_another_process_has_the_same_traces() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "same_hash::s40_traces_are_as_they_were", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    let printed: Vec<_> = text.lines().filter(|line| line.starts_with('(')).collect();
    assert_eq!(printed, traces());
}
