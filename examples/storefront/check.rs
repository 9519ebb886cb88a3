//! What the protected storefront promises, and whether it kept it.

use std::time::Duration;

use crate::report::{PhaseReport, Report, share};
use crate::script::{Mood, Script};
use crate::table::recovery;

const CATALOG_GOODPUT: f64 = 0.99;
const PAYMENTS_SHARE: f64 = 0.05;
const RECOVERY: Duration = Duration::from_secs(6);
const NAIVE_AMPLIFICATION: f64 = 2.5;
const AMPLIFICATION: f64 = 1.25;
const SOONER: f64 = 5.0;
/// Shorter than this, a line that was never long and one that was short at once are the same.
const AT_ONCE: Duration = Duration::from_millis(100);

/// A promise, and what the run found.
#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) text: &'static str,
    pub(crate) kept: bool,
    pub(crate) found: String,
}

/// Judges a run. `metrics` is what the protected storefront's `/metrics` said at its end.
pub(crate) fn promises(
    script: &Script,
    naked: &Report,
    protected: &Report,
    metrics: &str,
) -> Vec<Promise> {
    vec![
        catalog_unharmed(protected),
        trouble_is_real(naked),
        payments_spared(protected),
        checkout_recovers(protected),
        metrics_tell(protected, metrics),
        retries_bounded(protected),
        retries_multiply(naked),
        payments_recovers(script, naked, protected),
    ]
}

fn catalog_unharmed(protected: &Report) -> Promise {
    let (least, phase) = least_catalog_goodput(protected);
    Promise {
        text: "/catalog keeps 99 % goodput in every phase",
        kept: least >= CATALOG_GOODPUT,
        found: format!("at least {:.1} % (while {phase})", least * 100.0),
    }
}

/// Without this the others would prove nothing.
fn trouble_is_real(naked: &Report) -> Promise {
    let (least, phase) = least_catalog_goodput(naked);
    Promise {
        text: "... which the naked storefront does not",
        kept: least < CATALOG_GOODPUT,
        found: format!("down to {:.1} % (while {phase})", least * 100.0),
    }
}

fn least_catalog_goodput(report: &Report) -> (f64, &'static str) {
    let goodputs = report.phases.iter().map(|phase| (phase.routes[1].goodput(), phase.phase.name));
    goodputs.min_by(|one, other| one.0.total_cmp(&other.0)).unwrap_or((1.0, "idle"))
}

fn payments_spared(protected: &Report) -> Promise {
    let down = |phase: &&PhaseReport| matches!(phase.phase.mood, Mood::Hanging | Mood::Refusing);
    let share_reached = |phase: &PhaseReport| {
        let checkout = &phase.routes[0];
        share(checkout.upstream_calls, checkout.offered).unwrap_or(0.0)
    };
    let most = protected.phases.iter().filter(down).map(share_reached).fold(0.0, f64::max);
    Promise {
        text: "payments receives less than 5 % of the calls while it hangs or refuses",
        kept: most < PAYMENTS_SHARE,
        found: format!("at most {:.1} %", most * 100.0),
    }
}

fn checkout_recovers(protected: &Report) -> Promise {
    let [checkout, _] = protected.recovery;
    Promise {
        text: "/checkout is back within 6 s of the end of the trouble",
        kept: checkout.is_some_and(|time| time <= RECOVERY),
        found: format!("{} s", recovery(checkout)),
    }
}

/// No customer is refused by the open circuit without a trace. One who gave up before the answer
/// came has not seen it, so the metrics may count more.
fn metrics_tell(protected: &Report, metrics: &str) -> Promise {
    const CODE: &str = "circuit_open";
    let routes = protected.phases.iter().flat_map(|phase| &phase.routes);
    let seen: usize = routes.filter_map(|route| route.refused.get(CODE)).sum();
    let told = metrics
        .lines()
        .filter(|line| line.starts_with("buttress_rejections_total") && line.contains(CODE))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
        .sum::<usize>();
    Promise {
        text: "/metrics tells of every refusal by the open circuit",
        kept: seen > 0 && told >= seen,
        found: format!("{told} told, {seen} seen by customers"),
    }
}

fn retries_bounded(protected: &Report) -> Promise {
    let most = protected.phases.iter().map(amplification).fold(0.0, f64::max);
    Promise {
        text: "payments never receives more than 1.25 attempts for each call",
        kept: most <= AMPLIFICATION,
        found: format!("at most {most:.2}"),
    }
}

fn retries_multiply(naked: &Report) -> Promise {
    let errors = naked.phases.iter().filter(|phase| phase.phase.mood == Mood::Errors);
    let most = errors.map(amplification).fold(0.0, f64::max);
    Promise {
        text: "... and from the naked storefront at least 2.5 while it fails",
        kept: most >= NAIVE_AMPLIFICATION,
        found: format!("{most:.2}"),
    }
}

fn amplification(phase: &PhaseReport) -> f64 {
    phase.routes[0].amplification()
}

/// What is never back within the run is taken to be back at its end.
fn payments_recovers(script: &Script, naked: &Report, protected: &Report) -> Promise {
    let run = script.length.saturating_sub(script.trouble_ends());
    let times = protected.payments.unwrap_or(run).max(AT_ONCE);
    let sooner = naked.payments.unwrap_or(run).as_secs_f64() / times.as_secs_f64();
    Promise {
        text: "payments is rid of its line 5 times as soon as under the naked storefront",
        kept: protected.payments.is_some() && sooner >= SOONER,
        found: format!("{} s, and {} s", recovery(protected.payments), recovery(naked.payments)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::RouteReport;
    use crate::script::Route;

    const METRICS: &str = "# TYPE buttress_rejections_total counter\n\
        buttress_rejections_total{layer=\"circuit_breaker\",name=\"payments\",reason=\"circuit_open\"} 12\n";

    /// Phases with this share of good `/catalog` calls and of `/checkout` calls that got through.
    fn report(catalog: usize, reached: usize, recovery: Option<u64>) -> Report {
        let refused = BTreeMap::from([("circuit_open".to_owned(), 1)]);
        let figures = |route, good, upstream_calls| RouteReport {
            route,
            offered: 1000,
            good,
            p50: None,
            p99: None,
            upstream_calls,
            refused: refused.clone(),
        };
        let phases = script().phases.into_iter().map(|phase| {
            let reached = if phase.mood == Mood::Refusing { reached } else { 0 };
            let routes =
                [figures(Route::Checkout, 0, reached), figures(Route::Catalog, catalog, 1000)];
            PhaseReport { phase, routes }
        });
        let recovery = [recovery.map(Duration::from_millis), None];
        Report { phases: phases.collect(), recovery, payments: Some(Duration::from_millis(400)) }
    }

    fn script() -> Script {
        Script::lasting(Duration::from_secs(20))
    }

    /// A naked storefront as bad as it should be.
    fn naked() -> Report {
        let mut naked = report(989, 1000, None);
        naked.phases[2].routes[0].upstream_calls = 2500;
        naked.payments = Some(Duration::from_secs(2));
        naked
    }

    fn broken(naked: &Report, protected: &Report, metrics: &str) -> Vec<usize> {
        let promises = promises(&script(), naked, protected, metrics);
        let kept = promises.into_iter().map(|promise| promise.kept);
        kept.enumerate().filter(|(_, kept)| !kept).map(|(index, _)| index).collect()
    }

    #[test]
    fn each_promise_can_be_broken_and_is_broken_alone() {
        let good = || report(990, 49, Some(6000));
        assert_eq!(broken(&naked(), &good(), METRICS), [0; 0]);
        assert_eq!(broken(&naked(), &report(989, 49, Some(6000)), METRICS), [0]);
        let mut kind = naked();
        for phase in &mut kind.phases {
            phase.routes[1].good = 990;
        }
        assert_eq!(broken(&kind, &good(), METRICS), [1]);
        assert_eq!(broken(&naked(), &report(990, 50, Some(6000)), METRICS), [2]);
        assert_eq!(broken(&naked(), &report(990, 49, Some(6001)), METRICS), [3]);
        assert_eq!(broken(&naked(), &report(990, 49, None), METRICS), [3]);
        let silent = METRICS.replace("} 12", "} 11");
        assert_eq!(broken(&naked(), &good(), &silent), [4]);
        let mut multiplied = good();
        multiplied.phases[0].routes[0].upstream_calls = 1251;
        assert_eq!(broken(&naked(), &multiplied, METRICS), [5]);
        let mut patient = naked();
        patient.phases[2].routes[0].upstream_calls = 2499;
        assert_eq!(broken(&patient, &good(), METRICS), [6]);
    }

    #[test]
    fn payments_has_to_recover_five_times_as_soon() {
        let with = |naked_after: Option<u64>, protected_after: Option<u64>| {
            let (mut naked, mut protected) = (naked(), report(990, 49, Some(6000)));
            naked.payments = naked_after.map(Duration::from_millis);
            protected.payments = protected_after.map(Duration::from_millis);
            broken(&naked, &protected, METRICS).is_empty()
        };
        assert!(with(Some(2000), Some(400)) && !with(Some(1999), Some(400)));
        assert!(with(Some(500), Some(0)) && !with(Some(499), Some(0)));
        // The run ends 5 s after the trouble.
        assert!(with(None, Some(1000)) && !with(None, Some(1001)));
        assert!(!with(None, None));
    }
}
