//! How much does a service sustain, and what gives out first?
//!
//! ```text
//! cargo run --release --example capacity --all-features [-- --demo MODE --plot FILE --json --check]
//! cargo run --release --example capacity --all-features -- \
//!     --target http://127.0.0.1:8080/search?q=1 --metrics http://127.0.0.1:8080/metrics
//! ```
//!
//! Sends load in rising steps, looks for the highest that stays within an envelope of latency and
//! errors, and says what saturated beyond it, by the metrics of this crate's layers:
//!
//! ```text
//! at p95 < 200 ms and errors < 0.1 % this sustains 198 requests/s until bulkhead `http` saturates
//! ```
//!
//! # How it measures
//!
//! - **Open loop.** Requests are sent on schedule, whatever the answers do, and a latency counts
//!   from the time at which its request was due. A generator that waits for an answer before it
//!   sends the next request slows down with its target, and never shows the line before it.
//! - **Arrivals** are at random within each quarter of a second, and each quarter has its exact
//!   share (`--arrivals sliced`). `poisson` has bursts of any length: more true to independent
//!   callers, and a step of two seconds at 200 requests/s is then off its load by 5 % as a rule,
//!   which calls for longer steps. `even` is kinder than any caller.
//! - **A step holds** if its p95 and its share of errors, refusals among them, are within the
//!   envelope, and latency does not climb from its first third to its last. A line that still
//!   grows when the step ends breaks any envelope in time. In a step of fewer than 1000 requests
//!   one error is more than 0.1 %.
//! - **The search** raises the load by half until a step breaks, narrows it down to 3 %, and tries
//!   both ends again in steps twice as long, best of three.
//! - **The load generator is not the target.** A step of which more than 1 % of the requests were
//!   sent late, by a tenth of the p95, is invalid, and run again. If that does not help, the run
//!   ends and says so: that it could not send more is no finding about the target.
//! - A step that has fallen hopelessly behind is cut short, and between the steps the target comes
//!   to rest, so that none inherits the line of the one before.
//!
//! # How it knows what saturated
//!
//! It scrapes the target at the start and the end of a step, and four times a second in between,
//! and compares the lowest load that broke with the lowest load of all (`diagnosis.rs`):
//!
//! - Each layer's `buttress_latency_seconds` starts when it admits a call, and holds those further
//!   in. Where the added time is in a layer's `buttress_queue_seconds`, or the layer refuses, while
//!   what it admits takes as long as ever, its limit is what is short.
//! - Otherwise the innermost layer whose latency grew calls what is short. A limit further out that
//!   is full as well is so by Little's law: raising it would lengthen a line elsewhere.
//! - What is called behind a circuit breaker, a retry or a hedge is a dependency; what is called
//!   behind other layers is work of the service itself. So put an `ObserveLayer` with a name
//!   before whatever may run out of room: a pool of threads, of connections, a lock.
//!
//! Names and layers are the metrics' own labels. Where nothing that reports has changed, the
//! requests waited where no layer stands: in the accept queue, the network, the runtime.
//!
//! # The demo
//!
//! `demo.rs` is a service behind a bulkhead, with a pool of workers and an inventory that it asks
//! over HTTP. One of the three has room for 200 requests a second, by `--demo`; the others for
//! several times as many. `--check` fails unless the run finds that.
//!
//! Measure a service of your own from another machine if you can, and in any case under nothing
//! else: what shares its cores with the generator is measured with less.

mod args;
#[path = "../support/arguments.rs"]
mod arguments;
#[path = "../support/chart.rs"]
mod chart;
mod demo;
mod diagnosis;
mod load;
mod plot;
mod pool;
mod prometheus;
mod report;
mod run;
mod schedule;
mod search;
mod signals;
mod step;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use tower::BoxError;

use crate::args::{Command, Options, Subject};
use crate::demo::Demo;
use crate::load::Target;
use crate::run::{Findings, Plan};

fn main() -> ExitCode {
    let options = match args::parse(env::args_os().skip(1)) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Help) => return finish(say(args::HELP).map(|()| ExitCode::SUCCESS)),
        Err(bad) => {
            eprintln!("capacity: {bad}");
            return ExitCode::from(2);
        }
    };
    finish(measure(&options))
}

fn finish(outcome: Result<ExitCode, BoxError>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("capacity: {error}");
        ExitCode::FAILURE
    })
}

fn measure(options: &Options) -> Result<ExitCode, BoxError> {
    let findings = match &options.subject {
        Subject::Demo(mode) => {
            let demo = Demo::start(*mode)?;
            explore(options, demo.target.clone(), Some(demo.metrics.clone()))?
        }
        Subject::Service { target, metrics } => explore(options, target.clone(), metrics.clone())?,
    };
    let mode = match options.subject {
        Subject::Demo(mode) => Some(mode),
        Subject::Service { .. } => None,
    };
    if let Some(path) = &options.plot {
        let plot = plot::render(&findings, &options.envelope)?;
        fs::write(path, plot).map_err(|error| format!("--plot {}: {error}", path.display()))?;
    }
    if options.json {
        let json = report::to_json(&findings, &options.envelope, mode);
        say(&format!("{json:#}\n"))?;
    } else {
        say(&report::table(&findings, &options.envelope, mode)?)?;
    }
    match mode.filter(|_| options.check).map(|mode| report::check(&findings, mode)) {
        Some(Err(broken)) => Err(format!("--check: {broken}").into()),
        _ if findings.overrun.is_some() => Ok(ExitCode::FAILURE),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Callers who wait five times as long as the p95 that is asked for are patient ones.
const PATIENCE: u32 = 5;

fn explore(
    options: &Options,
    target: http::Uri,
    metrics: Option<http::Uri>,
) -> Result<Findings, BoxError> {
    let patience = options.envelope.p95 * PATIENCE;
    let plan = Plan {
        target: Target::new(target, patience),
        metrics: metrics.map(|uri| Target::new(uri, patience)),
        envelope: options.envelope,
        from: options.from,
        to: options.to,
        step: options.step,
        arrivals: options.arrivals,
        seed: options.seed,
    };
    // A standard error that cannot be written to is let be.
    let tell = |line: &str| drop(writeln!(io::stderr(), "{line}"));
    tell(report::HEAD);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(run::explore(&plan, |step| tell(&report::row(step))))
}

/// Prints, and takes a reader that has gone away, as `head` does, for an end and not a failure.
fn say(text: &str) -> Result<(), BoxError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
