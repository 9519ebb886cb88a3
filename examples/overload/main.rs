//! Servers at up to four times the load that they can carry: naked, with a limit that somebody
//! guessed, and with one that finds itself.
//!
//! ```text
//! cargo run --release --example overload --features http [-- --seconds 60 --json --plot FILE --check]
//! ```
//!
//! # What runs
//!
//! Everything talks HTTP over loopback sockets. Five servers run at once on the same traffic, each
//! with a load generator of its own, so that whatever else the machine does hits all alike:
//!
//! ```text
//!                        server (axum)
//!                     ┌────────────────────────────────────────────────┐
//! load generator ────▶│ limit ─▶ timeout ─▶ handler ─▶ line ─▶ workers │
//!   200, 400, 800,    │          200 ms                endless    10   │
//!   1,600, 200 calls/s│                                                │
//!   250 ms deadline   └────────────────────────────────────────────────┘
//! ```
//!
//! They differ in the limit alone (`server.rs`):
//!
//! - **naked** has none;
//! - **limit 256** is a bulkhead of a size that sounded large enough;
//! - **limit 20** is one of the right size, by somebody who knew how many workers there are, and
//!   who comes back whenever that changes;
//! - **adaptive** is `AdaptiveLimitLayer::new()`;
//! - **priorities** is the same, and keeps three tenths of itself for the critical tenth of the calls.
//!
//! The work of a call takes a worker for 25 ms on average, exponentially distributed. Whatever is
//! in line gets done, as in every pool of threads: nobody tells it that a caller has gone.
//!
//! # What is seen
//!
//! Beyond their capacity the naked server and the one with the high limit do nothing of use. They
//! are as busy as the others, but the line before the workers is longer than anybody's patience,
//! so all that they do is done for callers who have left. They stay so when the load is half of
//! what they can carry: first the line has to be worked off. A timeout does not help, since it
//! shortens nobody's line.
//!
//! The adaptive limit serves as many calls at four times the load as at its capacity, hardly
//! slower than at leisure, and refuses the rest within a millisecond or so. Nobody told it that
//! there are ten workers: it holds the calls in flight where they keep the workers busy and the
//! line short. Right at capacity the naked server may do a little better than any limit, since it
//! takes bursts that a limit refuses; or worse, once its line has grown. In the plot the limit dips now and then for a
//! moment: it looks at what a call takes where nobody waits.
//!
//! # How to read the figures
//!
//! - **goodput** counts 2xx answers, read to their end within 250 ms of the time at which the call
//!   was due, in percent of what the workers could do. Arrivals are open-loop: they never wait for
//!   answers. A call belongs to the phase in which it was due.
//! - **p50, p99** are over the calls that were not refused, from the time at which they were due. A
//!   call without an answer took 250 ms.
//! - **seconds until 95 % were good** run from the start of the last phase until 95 % of the calls
//!   of the last second (of a twentieth of the run, if that is shorter) were good, for good.
//!
//! # How to make it yours
//!
//! `pool.rs` has the workers and their work: put your handler's there. `script.rs` has the loads,
//! the deadline, and the share of critical calls. `server.rs` has the limits: copy the stack of
//! `Kind::Adaptive` into your server as it is, there is no number in it but your timeout. That one
//! should be shorter than your callers' patience: a call whose caller has hung up tells the limit
//! nothing, a timeout does.
//!
//! Up to 1,500 sockets are open at once, both ends of each counted.

mod args;
#[path = "../support/arguments.rs"]
mod arguments;
#[path = "../support/chart.rs"]
mod chart;
mod check;
mod load;
mod plot;
mod pool;
mod record;
mod report;
mod run;
mod script;
mod server;
mod table;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use tower::BoxError;

use crate::args::{Command, Options};
use crate::check::Promise;
use crate::record::Outcome;
use crate::report::Report;
use crate::run::Run;
use crate::script::{DEADLINE, Script};
use crate::server::Kind;

fn main() -> ExitCode {
    let options = match args::parse(env::args_os().skip(1)) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Help) => return finish(say(args::HELP).map(|()| ExitCode::SUCCESS)),
        Err(bad) => {
            eprintln!("overload: {bad}");
            return ExitCode::from(2);
        }
    };
    finish(compare(&options))
}

fn finish(outcome: Result<ExitCode, BoxError>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("overload: {error}");
        ExitCode::FAILURE
    })
}

/// One run of every server, and what came of it.
fn compare(options: &Options) -> Result<ExitCode, BoxError> {
    let script = Script::lasting(options.length);
    let runtime = tokio::runtime::Runtime::new()?;
    let runs = runtime.block_on(async {
        let records = run::records();
        let (runs, ()) =
            tokio::join!(run::all(&script, &records), announce(&script, records[0].start()));
        runs
    })?;
    let reports = Kind::ALL.iter().zip(&runs).map(|(kind, run)| Report::new(*kind, &script, run));
    let reports: Vec<_> = reports.collect();
    let promises = check::promises(&reports);

    let path = options.plot.display();
    let plot = plot::render(&script, &runs, &reports)?;
    fs::write(&options.plot, plot).map_err(|error| format!("--plot {path}: {error}"))?;
    if options.json {
        let servers: Vec<Value> = reports.iter().map(Report::to_json).collect();
        say(&format!("{:#}\n", json!({ "servers": servers })))?;
        eprintln!("plot: {path}");
    } else {
        let table = table::render(&script, &reports, &promises)?;
        say(&format!("{table}\nplot: {path}\n"))?;
    }
    warn(&runs);
    Ok(if options.check { judge(&promises) } else { ExitCode::SUCCESS })
}

/// Tells of each phase when it starts; a standard error that cannot be written to is let be.
async fn announce(script: &Script, start: tokio::time::Instant) {
    for phase in &script.phases {
        tokio::time::sleep_until(start + phase.start).await;
        let (from, to) = (phase.start.as_secs_f64(), phase.end.as_secs_f64());
        let _ = writeln!(io::stderr(), "{from:>6.2} s to {to:>6.2} s  load: {}", phase.name);
    }
}

fn judge(promises: &[Promise]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for Promise { text, found, .. } in promises.iter().filter(|promise| !promise.kept) {
        eprintln!("overload: broken promise: {text}: {found}");
        code = ExitCode::FAILURE;
    }
    code
}

/// A load generator that was late, or that got no connection, has measured the machine, and not
/// the servers.
fn warn(runs: &[Run]) {
    let lag = runs.iter().map(|run| run.notes.lag).fold(Duration::ZERO, Duration::max);
    if lag > DEADLINE / 2 {
        eprintln!(
            "overload: the load generator was up to {lag:.0?} behind its schedule: this machine \
             is too busy for figures to be trusted"
        );
    }
    let calls = runs.iter().flat_map(|run| &run.notes.calls);
    let broken = calls.filter(|call| call.outcome == Outcome::Broken).count();
    if broken > 0 {
        eprintln!(
            "overload: {broken} calls had no connection, or lost it: if too few files may be \
             open, `ulimit -n 4096` helps"
        );
    }
}

/// Prints, and takes a reader that has gone away, as `head` does, for an end and not a failure.
fn say(text: &str) -> Result<(), BoxError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
