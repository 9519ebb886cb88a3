//! The table at the end of a run.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::check::Promise;
use crate::pool::{CAPACITY, WORKERS};
use crate::report::{Figures, Report};
use crate::script::{DEADLINE, Script};

/// Everything that is printed where no JSON is asked for.
pub(crate) fn render(
    script: &Script,
    reports: &[Report],
    promises: &[Promise],
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    head(&mut out, script)?;
    for report in reports {
        let mut server = report.kind.name();
        for figures in &report.phases {
            row(&mut out, server, figures)?;
            server = "";
        }
    }
    writeln!(
        out,
        "\nseconds from the end of the overload until 95 % of the calls were good for good, and calls\na second that the workers could do, by the time that a call held one"
    )?;
    for report in reports {
        let capacity = report.capacity.map_or("-".to_owned(), |rate| format!("{rate:.0}"));
        let (name, time) = (report.kind.name(), recovery(report.recovery));
        writeln!(out, "  {name:<11} {time:>5} {capacity:>6}")?;
    }
    writeln!(out, "\npromises of the adaptive limit")?;
    for promise in promises {
        let verdict = if promise.kept { "kept" } else { "BROKEN" };
        writeln!(out, "  {verdict:<6} {}: {}", promise.text, promise.found)?;
    }
    Ok(out)
}

fn head(out: &mut String, script: &Script) -> fmt::Result {
    writeln!(
        out,
        "{} s of the same traffic against servers of {WORKERS} workers each, who can do {CAPACITY} \
         calls a second\n\n\
         goodput   calls answered 2xx within {} ms of the time at which they were due, in % of \
         the capacity\n\
         p50 p99   of the calls that were not refused, in ms\n\
         critical  good answers to critical calls, in % of those; to all other servers they are \
         calls like any other\n",
        script.length.as_secs_f64(),
        DEADLINE.as_millis(),
    )?;
    writeln!(
        out,
        "{:<11} {:<10} {:>7} {:>8} {:>7} {:>7} {:>8} {:>9}",
        "server", "load", "offered", "goodput", "p50", "p99", "refused", "critical"
    )
}

fn row(out: &mut String, server: &str, figures: &Figures) -> fmt::Result {
    writeln!(
        out,
        "{server:<11} {:<10} {:>7} {:>7.1}% {:>7} {:>7} {:>7.1}% {:>8.1}%",
        figures.phase.name,
        figures.offered,
        figures.goodput() * 100.0,
        millis(figures.p50),
        millis(figures.p99),
        figures.refused_share() * 100.0,
        figures.critical_share() * 100.0,
    )
}

fn millis(latency: Option<Duration>) -> String {
    latency.map_or("-".to_owned(), |latency| format!("{:.1}", latency.as_secs_f64() * 1e3))
}

pub(crate) fn recovery(time: Option<Duration>) -> String {
    time.map_or("never".to_owned(), |time| format!("{:.1}", time.as_secs_f64()))
}
