//! What a stack does for a system in trouble: simulated, by seed.
//!
//! ```text
//! cargo run --release --example simulate --all-features -- slow --stack naive --plot naive.svg
//! cargo run --release --example simulate --all-features -- slow --stack full --seeds 0..64
//! cargo run --release --example simulate --all-features -- map --plot map.svg
//! cargo run --release --example simulate --all-features -- adaptive
//! ```
//!
//! `--help` says what else there is, `list` names the scenarios and the stacks.
//!
//! # What runs
//!
//! Clients send requests to a server of 10 workers, by default at three quarters of what it can
//! do. Requests are of use for a second. From second 10 to second 20 something is wrong; then all
//! is as before, but for the line before the workers, and for what the stack makes of it.
//!
//! A server that is not told that its caller has gone works on for nobody. With a long line it
//! does nothing else: all that it answers is too late, and is asked for once more. The trouble is
//! over, and the overload stays, fed by the retries alone, wherever utilisation times attempts is
//! more than 1. That is a metastable failure (Bronson et al., "Metastable Failures in Distributed
//! Systems", `HotOS` 2021), and `map` draws where it begins.
//!
//! # Adaptive limits
//!
//! `adaptive` is about one layer alone: it tries the limits of `adaptive_limit`, and those of other
//! projects, on the workloads of `adaptive/rows.rs`, beside the best static limit for each.
//!
//! # How to make it yours
//!
//! `scenario.rs` holds the plans: servers, clients, faults. `--show-plan` prints one as JSON, and
//! `--plan FILE` runs such a file. `stack.rs` holds the stacks, with the layers as they are used in
//! production; put your own there. The rest prints.

mod adaptive;
mod args;
mod map;
mod parallel;
mod plot;
mod scenario;
mod stack;
mod table;
mod throughput;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use buttress::BoxError;
use buttress::sim::{Plan, Report, Sim};

use crate::args::{Command, Options};
use crate::scenario::{SCENARIOS, Scenario};
use crate::stack::Stack;

fn main() -> ExitCode {
    let outcome = match args::parse(env::args_os().skip(1)) {
        Ok(Command::Help) => say(args::HELP).map(|()| true),
        Ok(Command::List) => list().map(|()| true),
        Ok(Command::Throughput) => throughput::measure().map(|()| true),
        Ok(Command::Adaptive(options)) => adaptive::run(&options),
        Ok(Command::Map(options)) => map::draw(&options).map(|()| true),
        Ok(Command::Run(options)) => run(&options),
        Err(bad) => {
            eprintln!("simulate: {bad}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("simulate: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs what was asked for. `false` if a run was not sound.
fn run(options: &Options) -> Result<bool, BoxError> {
    let plan = plan(options)?;
    if options.show_plan {
        say(&format!("{}\n", serde_json::to_string_pretty(&plan)?))?;
        return Ok(true);
    }
    let seeds: Vec<u64> = match &options.seeds {
        Some(seeds) => seeds.clone().collect(),
        None => vec![options.seed],
    };
    let reports = parallel::in_parallel(&seeds, |seed| simulate(&plan, options, *seed));
    for report in reports.iter().filter(|_| options.json) {
        say(&format!("{}\n", report.json()))?;
    }
    match (&options.seeds, &reports[..]) {
        _ if options.json => {}
        (None, [report]) => say(&report.to_string())?,
        _ => say(&table::render(&plan, &reports)?)?,
    }
    if let (Some(path), [report]) = (&options.plot, &reports[..]) {
        write(path, &report.svg())?;
    }
    Ok(reports.iter().all(|report| report.sound().is_ok()))
}

fn simulate(plan: &Plan, options: &Options, seed: u64) -> Report {
    let attempts = options.settings.attempts;
    Sim::new(seed).run(plan, |world| stack::wire(world, plan, options.stack, attempts))
}

/// That of the scenario, or of the file.
fn plan(options: &Options) -> Result<Plan, BoxError> {
    let Some(path) = &options.plan else {
        let scenario = Scenario::of(&options.scenario).ok_or("no such scenario")?;
        return Ok(scenario.plan(options.settings));
    };
    let in_file = |what: &dyn std::fmt::Display| format!("--plan `{}`: {what}", path.display());
    let text = fs::read_to_string(path).map_err(|error| in_file(&error))?;
    let plan: Plan = serde_json::from_str(&text).map_err(|error| in_file(&error))?;
    plan.validate().map_err(|error| in_file(&error))?;
    match plan.servers.len() {
        0 => Err(in_file(&"it has no servers, allowed is one or more").into()),
        _ => Ok(plan),
    }
}

fn list() -> Result<(), BoxError> {
    let scenarios = SCENARIOS.iter().map(|scenario| (scenario.name, scenario.what));
    let stacks = Stack::ALL.into_iter().map(|stack| (stack.name(), stack.what()));
    let lines = |(name, what)| format!("  {name:<14}{what}\n");
    let scenarios: String = scenarios.map(lines).collect();
    let stacks: String = stacks.map(lines).collect();
    say(&format!("Scenarios:\n{scenarios}\nStacks:\n{stacks}"))
}

fn write(path: &Path, svg: &str) -> Result<(), BoxError> {
    fs::write(path, svg).map_err(|error| format!("--plot `{}`: {error}", path.display()))?;
    eprintln!("plot: {}", path.display());
    Ok(())
}

/// Prints, and takes a reader that has gone away, as `head` does, for an end and not a failure.
fn say(text: &str) -> Result<(), BoxError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Settings;

    fn report(scenario: &Scenario, stack: Stack) -> Report {
        let settings = Settings::default();
        let plan = scenario.plan(settings);
        let report = Sim::new(1).run(&plan, |world| {
            stack::wire(world, &plan, stack, settings.attempts);
        });
        assert_eq!(report.sound(), Ok(()), "{} {}", scenario.name, stack.name());
        report
    }

    #[test]
    fn the_full_stack_is_well_again_after_every_scenario() {
        let reports = parallel::in_parallel(SCENARIOS, |scenario| report(scenario, Stack::Full));
        for (scenario, report) in SCENARIOS.iter().zip(reports) {
            let after = report.recovered_after().map(|after| after.as_secs());
            assert!(after.is_some_and(|after| after < 5), "{}\n{report}", scenario.name);
        }
    }

    #[test]
    fn a_slow_server_stays_down_without_protection_alone() {
        let slow = Scenario::of("slow").unwrap();
        let down = |stack: &Stack| report(slow, *stack).recovered_after().is_none();
        let stays_down = parallel::in_parallel(&Stack::ALL, down);
        // Neither pauses nor a budget are enough by themselves: see the plots.
        assert_eq!(stays_down, [true, false, true, true, false, false, false]);
    }
}
