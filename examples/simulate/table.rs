//! Many seeds as a table.

use std::time::Duration;

use buttress::sim::{Plan, Report};

/// A line for each figure: over all seeds, the worst and the one in the middle.
pub(crate) fn render(plan: &Plan, reports: &[Report]) -> String {
    let requests: u64 = reports.iter().map(Report::offered).sum();
    let mut out = format!("{} seeds, {requests} requests\n", reports.len());
    out += &format!("\n{:<36}{:>10}{:>10}\n", "", "worst", "median");
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let mut row = |name: &str, worst_first: Vec<f64>, show: &dyn Fn(f64) -> String| {
        let [worst, median] = [0, worst_first.len() / 2].map(|at| show(worst_first[at]));
        out += &format!("{name:<36}{worst:>10}{median:>10}\n");
    };
    row("goodput", rising(reports, Report::goodput), &percent);
    row("of what was possible", rising(reports, Report::goodput_of_oracle), &percent);
    let recoveries = reports.iter().map(Report::recovered_after);
    row("recovery after the trigger", falling(recoveries.map(seconds)), &|after| {
        if after.is_finite() { format!("{after:.1} s") } else { "none".to_owned() }
    });
    let p99 = reports.iter().map(|report| report.latency(0.99).as_secs_f64() * 1e3);
    row("p99 of the good", falling(p99), &|ms| format!("{ms:.0} ms"));
    for name in plan.servers.keys() {
        let amplification = reports.iter().map(|report| report.amplification(name));
        let label = format!("attempts for each request, {name:?}");
        row(&label, falling(amplification), &|times| format!("{times:.2}"));
    }
    let down = reports.iter().filter(|report| report.recovered_after().is_none()).count();
    out += &format!("\nnot well again by the end: {down} of {}\n", reports.len());
    for report in reports {
        if let Err(broken) = report.sound() {
            out += &format!("BROKEN, --seed {:#x}: {broken}\n", report.seed);
        }
    }
    out
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
