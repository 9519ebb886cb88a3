//! What the adaptive limit promises, and whether it kept it.

use std::time::Duration;

use crate::report::Report;
use crate::script::{FOUR_TIMES, ONCE, TWICE};
use crate::server::Kind;
use crate::table::recovery;

const NAKED_GOODPUT: f64 = 0.30;
const GOODPUT_KEPT: f64 = 0.90;
const CRITICAL_GOODPUT: f64 = 0.99;
const RECOVERY: Duration = Duration::from_secs(3);

/// A promise, and what the run found.
#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) text: &'static str,
    pub(crate) kept: bool,
    pub(crate) found: String,
}

/// Judges a run: reports in the order of [`Kind::ALL`].
pub(crate) fn promises(reports: &[Report]) -> Vec<Promise> {
    let of = |kind: Kind| &reports[kind.index()];
    vec![
        overload_is_real(of(Kind::Naked)),
        goodput_stands(of(Kind::Adaptive)),
        critical_unharmed(of(Kind::Priorities)),
        recovers(of(Kind::Adaptive), of(Kind::Priorities)),
    ]
}

/// Without this the others would prove nothing.
fn overload_is_real(naked: &Report) -> Promise {
    let goodput = naked.phases[FOUR_TIMES].goodput();
    Promise {
        text: "at 4x the naked server has less than 30 % of its capacity in goodput",
        kept: goodput < NAKED_GOODPUT,
        found: format!("{:.1} %", goodput * 100.0),
    }
}

fn goodput_stands(adaptive: &Report) -> Promise {
    let [once, four_times] = [ONCE, FOUR_TIMES].map(|phase| adaptive.phases[phase].goodput());
    Promise {
        text: "... and the adaptive one at least 90 % of its own at 1x",
        kept: four_times >= GOODPUT_KEPT * once,
        found: format!("{:.1} %", four_times / once * 100.0),
    }
}

fn critical_unharmed(priorities: &Report) -> Promise {
    let share = priorities.phases[TWICE].critical_share();
    Promise {
        text: "with priorities, 99 % of the critical calls are good at 2x",
        kept: share >= CRITICAL_GOODPUT,
        found: format!("{:.2} %", share * 100.0),
    }
}

fn recovers(adaptive: &Report, priorities: &Report) -> Promise {
    let times = [adaptive, priorities].map(|report| report.recovery);
    let slowest =
        times.into_iter().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    Promise {
        text: "both have 95 % good calls within 3 s of the end of the overload",
        kept: slowest.is_some_and(|time| time <= RECOVERY),
        found: format!("{} s", recovery(slowest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Figures;
    use crate::script::Script;

    /// A thousand good calls in each phase, and as many critical ones as were promised.
    fn reports() -> Vec<Report> {
        let script = Script::lasting(Duration::from_secs(60));
        let figures = |phase: &_| Figures {
            phase: *phase,
            offered: 1000,
            good: 1000,
            refused: 0,
            critical: 1000,
            critical_good: 990,
            p50: None,
            p99: None,
        };
        let report = |kind| Report {
            kind,
            phases: script.phases.iter().map(figures).collect(),
            recovery: Some(RECOVERY),
            capacity: None,
        };
        Kind::ALL.map(report).into()
    }

    fn broken(change: impl Fn(&mut [Report])) -> Vec<usize> {
        let mut reports = reports();
        change(&mut reports);
        let kept = promises(&reports).into_iter().map(|promise| promise.kept);
        kept.enumerate().filter(|(_, kept)| !kept).map(|(index, _)| index).collect()
    }

    #[test]
    fn each_promise_can_be_broken_and_is_broken_alone() {
        let [naked, adaptive, priorities] =
            [Kind::Naked, Kind::Adaptive, Kind::Priorities].map(Kind::index);
        assert_eq!(broken(|_| ()), [0; 0]);
        // 30 % of the 4,800 that a phase of 12 s has room for.
        assert_eq!(broken(|all| all[naked].phases[FOUR_TIMES].good = 1439), [0; 0]);
        assert_eq!(broken(|all| all[naked].phases[FOUR_TIMES].good = 1440), [0]);
        assert_eq!(broken(|all| all[adaptive].phases[FOUR_TIMES].good = 900), [0; 0]);
        assert_eq!(broken(|all| all[adaptive].phases[FOUR_TIMES].good = 899), [1]);
        assert_eq!(broken(|all| all[priorities].phases[TWICE].critical_good = 989), [2]);
        let late = RECOVERY + Duration::from_millis(1);
        assert_eq!(broken(|all| all[adaptive].recovery = Some(late)), [3]);
        assert_eq!(broken(|all| all[adaptive].recovery = None), [3]);
        assert_eq!(broken(|all| all[priorities].recovery = Some(late)), [3]);
    }
}
