//! The table at the end of a run.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::check::Promise;
use crate::orders::report::OrderReport;
use crate::orders::stores::StoreKind;
use crate::report::{Report, RouteReport};
use crate::script::{DEADLINE, Route, Script};
use crate::shop::WORKERS;

/// Everything that is printed where no JSON is asked for.
pub(crate) fn render(
    script: &Script,
    [naked, protected]: [&Report; 2],
    store: StoreKind,
    orders: [&OrderReport; 2],
    promises: &[Promise],
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    head(&mut out, script)?;
    for (naked, protected) in naked.phases.iter().zip(&protected.phases) {
        let mut phase = naked.phase.name;
        for (naked, protected) in naked.routes.iter().zip(&protected.routes) {
            row(&mut out, phase, naked, protected)?;
            phase = "";
        }
    }
    refusals(&mut out, protected)?;
    writeln!(out, "\nseconds from the start of the last phase until goodput was back for good")?;
    for (route, times) in Route::ALL.iter().zip(naked.recovery.iter().zip(&protected.recovery)) {
        let (naked, protected) = (recovery(*times.0), recovery(*times.1));
        writeln!(out, "  {:<9}  naked {naked:>5}   protected {protected:>5}", route.path())?;
    }
    let (naked, protected) = (recovery(naked.payments), recovery(protected.payments));
    writeln!(
        out,
        "seconds from the end of the trouble until the line at payments was short for good"
    )?;
    writeln!(out, "  {:<9}  naked {naked:>5}   protected {protected:>5}", "payments")?;
    order_figures(&mut out, store, orders)?;
    writeln!(out, "\npromises of the protected storefront")?;
    for promise in promises {
        let verdict = if promise.kept { "kept" } else { "BROKEN" };
        writeln!(out, "  {verdict:<6} {}: {}", promise.text, promise.found)?;
    }
    Ok(out)
}

fn head(out: &mut String, script: &Script) -> fmt::Result {
    writeln!(
        out,
        "{} s of the same traffic against two storefronts of {WORKERS} workers each, while \
         payments is in trouble\n\n\
         good     calls answered 2xx within {} ms of the time at which they were due\n\
         p50 p99  of all answers, in ms; one that never came is counted at the deadline\n\
         reached  calls that got through to the service behind the route, refused attempts to \
         connect among them\n\
         x        the same for each call of a customer: above 1, retries add to the load\n",
        script.length.as_secs_f64(),
        DEADLINE.as_millis(),
    )?;
    let side = "   good    p50    p99  reached    x";
    writeln!(out, "{:32}| {:<34} | protected", "", "naked")?;
    writeln!(out, "{:<14} {:<9} {:>6} |{side} |{side}", "phase", "route", "calls")
}

fn row(out: &mut String, phase: &str, naked: &RouteReport, protected: &RouteReport) -> fmt::Result {
    let (route, calls) = (naked.route.path(), naked.offered);
    write!(out, "{phase:<14} {route:<9} {calls:>6} |")?;
    side(out, naked)?;
    write!(out, " |")?;
    side(out, protected)?;
    writeln!(out)
}

/// By reason. There are none in the naked storefront, which has nobody who could refuse.
fn refusals(out: &mut String, protected: &Report) -> fmt::Result {
    writeln!(out, "\nrefusals of the protected storefront")?;
    for phase in &protected.phases {
        for route in phase.routes.iter().filter(|route| !route.refused.is_empty()) {
            let reasons = route.refused.iter().map(|(reason, count)| format!("{reason} {count}"));
            let reasons = reasons.collect::<Vec<_>>().join(", ");
            writeln!(out, "  {:<14} {:<9}  {reasons}", phase.phase.name, route.route.path())?;
        }
    }
    Ok(())
}

type Figure = fn(&OrderReport) -> usize;

fn order_figures(
    out: &mut String,
    store: StoreKind,
    [naked, protected]: [&OrderReport; 2],
) -> fmt::Result {
    let instances = match store.instances() {
        1 => "one instance".to_owned(),
        instances => format!("{instances} instances"),
    };
    writeln!(
        out,
        "\norders of {} customers, each with a key of its own, who lost {} connections on the way\n\
         ({instances} of each storefront, records of the protected one: {store})",
        protected.customers, protected.cuts,
    )?;
    let figures: [(&str, Figure); 8] = [
        ("keys that a handler began", |orders| orders.begun),
        ("... with one row in the table", |orders| orders.once),
        ("... with more", |orders| orders.more),
        ("... with none", |orders| orders.none),
        ("rows beyond the first of their key", |orders| orders.duplicates),
        ("answers that were given before", |orders| orders.replays),
        ("customers with two answers that differ", |orders| orders.differ),
        ("customers who came back for nothing", |orders| orders.unserved),
    ];
    for (what, of) in figures {
        writeln!(out, "  {what:<39}  naked {:>5}   protected {:>5}", of(naked), of(protected))?;
    }
    Ok(())
}

fn side(out: &mut String, figures: &RouteReport) -> fmt::Result {
    let good = figures.goodput() * 100.0;
    let (p50, p99) = (millis(figures.p50), millis(figures.p99));
    let (reached, per_call) = (figures.upstream_calls, figures.amplification());
    write!(out, " {good:>5.1}% {p50:>6} {p99:>6} {reached:>8} {per_call:>4.1}")
}

fn millis(latency: Option<Duration>) -> String {
    latency.map_or("-".to_owned(), |latency| format!("{:.1}", latency.as_secs_f64() * 1e3))
}

pub(crate) fn recovery(time: Option<Duration>) -> String {
    time.map_or("never".to_owned(), |time| format!("{:.1}", time.as_secs_f64()))
}
