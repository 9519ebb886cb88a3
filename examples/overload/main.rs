//! Servers at up to four times their load: naked, with a limit that somebody guessed, and with one
//! that finds itself.
mod args;
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
