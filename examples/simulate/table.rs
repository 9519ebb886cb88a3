//! Many seeds as a table.

use std::fmt::{self, Write};
use std::time::Duration;

use buttress::sim::{Plan, Report};

/// A line for each figure: over all seeds, the worst and the one in the middle.
pub(crate) fn render(plan: &Plan, reports: &[Report]) -> Result<String, fmt::Error> {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let of_recovery = |after: f64| {
        if after.is_finite() { format!("{after:.1} s") } else { "none".to_owned() }
    };
    let requests: u64 = reports.iter().map(Report::offered).sum();
    let mut out = format!("{} seeds, {requests} requests\n\n", reports.len());
    writeln!(out, "{:<36}{:>10}{:>10}", "", "worst", "median")?;
    row(&mut out, "goodput", &rising(reports, Report::goodput), percent)?;
    row(&mut out, "of what was possible", &rising(reports, Report::goodput_of_oracle), percent)?;
    let recoveries = reports.iter().map(Report::recovered_after).map(seconds);
    row(&mut out, "recovery after the trigger", &falling(recoveries), of_recovery)?;
    let p99 = reports.iter().map(|report| report.latency(0.99).as_secs_f64() * 1e3);
    row(&mut out, "p99 of the good", &falling(p99), |ms| format!("{ms:.0} ms"))?;
    for name in plan.servers.keys() {
        let amplification = falling(reports.iter().map(|report| report.amplification(name)));
        let label = format!("attempts for each request, {name:?}");
        row(&mut out, &label, &amplification, |times| format!("{times:.2}"))?;
    }
    let down = reports.iter().filter(|report| report.recovered_after().is_none()).count();
    writeln!(out, "\nnot well again by the end: {down} of {}", reports.len())?;
    for report in reports {
        if let Err(broken) = report.sound() {
            writeln!(out, "BROKEN, --seed {:#x}: {broken}", report.seed)?;
        }
    }
    Ok(out)
}

/// Of figures, worst first.
fn row(out: &mut String, name: &str, figures: &[f64], show: impl Fn(f64) -> String) -> fmt::Result {
    let [worst, median] = [figures[0], figures[figures.len() / 2]].map(show);
    writeln!(out, "{name:<36}{worst:>10}{median:>10}")
}

/// Never is longer than any time.
fn seconds(after: Option<Duration>) -> f64 {
    after.map_or(f64::INFINITY, |after| after.as_secs_f64())
}

fn rising(reports: &[Report], figure: impl Fn(&Report) -> f64) -> Vec<f64> {
    let mut figures: Vec<_> = reports.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures
}

fn falling(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(|a, b| b.total_cmp(a));
    figures
}
