//! The figures: from the notes of a run to goodput, percentiles, refusals and recovery.

use std::time::Duration;

use serde_json::{Value, json};

use crate::pool::CAPACITY;
use crate::record::{Call, Notes, Outcome};
use crate::run::Run;
use crate::script::{AFTERWARDS, Phase, Script};
use crate::server::Kind;

/// Goodput from which on a server counts as recovered, as a share of what is offered.
pub(crate) const RECOVERED: f64 = 0.95;

/// What one server's run came to.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) kind: Kind,
    pub(crate) phases: Vec<Figures>,
    /// From the start of the last phase until the goodput was back for good; `None` where it never
    /// was.
    pub(crate) recovery: Option<Duration>,
    /// Calls a second that the workers could do, as measured.
    pub(crate) capacity: Option<f64>,
}

/// The calls that were due within one phase.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) phase: Phase,
    pub(crate) offered: usize,
    pub(crate) good: usize,
    pub(crate) refused: usize,
    pub(crate) critical: usize,
    pub(crate) critical_good: usize,
    /// Of the calls that were not refused. One without an answer took the deadline, at least.
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
}

impl Figures {
    fn of(phase: &Phase, calls: &[Call]) -> Self {
        let calls = || calls.iter().filter(|call| phase.contains(call.arrival.at));
        let is_good = |call: &&Call| call.outcome == Outcome::Good;
        let is_refused = |call: &&Call| call.outcome == Outcome::Refused;
        let critical = || calls().filter(|call| call.arrival.critical);
        let served = calls().filter(|call| !is_refused(call));
        let mut latencies: Vec<_> = served.map(|call| call.latency).collect();
        latencies.sort_unstable();
        Self {
            phase: *phase,
            offered: calls().count(),
            good: calls().filter(is_good).count(),
            refused: calls().filter(is_refused).count(),
            critical: critical().count(),
            critical_good: critical().filter(is_good).count(),
            p50: percentile(&latencies, 50),
            p99: percentile(&latencies, 99),
        }
    }

    /// Good answers a second, as a share of the capacity.
    #[allow(clippy::cast_precision_loss, reason = "counts of calls, far below 2^52")]
    pub(crate) fn goodput(&self) -> f64 {
        self.good as f64 / self.phase.length().as_secs_f64() / CAPACITY
    }

    /// From 0 to 1; 0 where nothing was offered.
    pub(crate) fn refused_share(&self) -> f64 {
        share(self.refused, self.offered).unwrap_or(0.0)
    }

    /// Good answers to critical calls, as a share of those; 1 where there were none.
    pub(crate) fn critical_share(&self) -> f64 {
        share(self.critical_good, self.critical).unwrap_or(1.0)
    }

    fn to_json(&self) -> Value {
        json!({
            "load": self.phase.load,
            "offered": self.offered,
            "good": self.good,
            "goodput_of_capacity": rounded(self.goodput()),
            "refused": self.refused,
            "critical": self.critical,
            "critical_good": self.critical_good,
            "p50_ms": self.p50.map(|latency| rounded(latency.as_secs_f64() * 1e3)),
            "p99_ms": self.p99.map(|latency| rounded(latency.as_secs_f64() * 1e3)),
        })
    }
}

impl Report {
    pub(crate) fn new(kind: Kind, script: &Script, run: &Run) -> Self {
        let figures = |phase| Figures::of(phase, &run.notes.calls);
        Self {
            kind,
            phases: script.phases.iter().map(figures).collect(),
            recovery: recovery(script, &run.notes),
            capacity: run.capacity,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "server": self.kind.name(),
            "phases": self.phases.iter().map(Figures::to_json).collect::<Vec<_>>(),
            "recovery_s": self.recovery.map(|time| rounded(time.as_secs_f64())),
            "measured_capacity": self.capacity.map(rounded),
        })
    }
}

/// To three places.
fn rounded(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}

/// The smallest of `sorted` that `percent` of them do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// `part / whole`, where there is a whole.
#[allow(clippy::cast_precision_loss, reason = "counts of calls, far below 2^52")]
pub(crate) fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// How long after the start of the last phase the goodput over the window before was back, and
/// stayed so to the end. Calls of the phase before are none of its own: a window may reach back
/// no further than the start.
fn recovery(script: &Script, notes: &Notes) -> Option<Duration> {
    let last = &script.phases[AFTERWARDS];
    let mut calls: Vec<_> = notes.calls.iter().collect();
    calls.sort_unstable_by_key(|call| call.arrival.at);
    let goodput_before = |end: Duration| {
        let start = end.saturating_sub(script.window()).max(last.start);
        let from = calls.partition_point(|call| call.arrival.at < start);
        let to = calls.partition_point(|call| call.arrival.at < end);
        let good = calls[from..to].iter().filter(|call| call.outcome == Outcome::Good).count();
        share(good, to - from).unwrap_or(0.0)
    };
    let step = script.window() / 20;
    let mut since = None;
    let mut end = last.end;
    while let Some(time) = end.checked_sub(last.start)
        && goodput_before(end) >= RECOVERED
    {
        since = Some(time);
        end = end.saturating_sub(step);
    }
    since
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Arrival, FOUR_TIMES};

    const MS: Duration = Duration::from_millis(1);

    /// A call every 10 ms of a 20 s run, every tenth of them critical, as `outcome` says.
    fn run(outcome: impl Fn(Duration) -> Outcome) -> (Script, Run) {
        let script = Script::lasting(Duration::from_secs(20));
        let calls = (0..2000).map(|index| {
            let arrival = Arrival { at: MS * 10 * index, critical: index % 10 == 0 };
            Call { arrival, latency: MS * (index % 100), outcome: outcome(arrival.at) }
        });
        let notes = Notes { calls: calls.collect(), ..Notes::default() };
        (script, Run { notes, capacity: None })
    }

    #[test]
    fn a_phase_counts_its_own_calls() {
        let overload = Script::lasting(Duration::from_secs(20)).phases[FOUR_TIMES];
        let (script, run) = run(|at| match (overload.contains(at), at.as_millis() % 100) {
            (false, _) => Outcome::Good,
            (true, 0..50) => Outcome::Refused,
            (true, _) => Outcome::Late,
        });
        let report = Report::new(Kind::Adaptive, &script, &run);
        let figures = &report.phases[FOUR_TIMES];
        assert_eq!((figures.offered, figures.good, figures.refused), (400, 0, 200));
        assert_eq!((figures.critical, figures.critical_good), (40, 0));
        assert!((figures.refused_share() - 0.5).abs() < 1e-9);
        let calm = &report.phases[AFTERWARDS];
        assert_eq!((calm.offered, calm.good, calm.refused), (500, 500, 0));
        assert!((calm.goodput() - 100.0 / CAPACITY).abs() < 1e-9);
        assert!((calm.critical_share() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_percentile_leaves_refusals_out() {
        let (script, run) = run(|at| match at.as_millis() % 1000 {
            0..500 => Outcome::Refused,
            _ => Outcome::Good,
        });
        let figures = Report::new(Kind::Adaptive, &script, &run).phases[AFTERWARDS].clone();
        assert_eq!([figures.p50, figures.p99], [Some(MS * 74), Some(MS * 99)]);
        assert_eq!(percentile(&[], 99), None);
        assert_eq!(percentile(&[MS], 50), Some(MS));
    }

    #[test]
    fn recovered_is_who_is_well_for_good() {
        let last = Script::lasting(Duration::from_secs(20)).phases[AFTERWARDS];
        let bad_until = |bad: Duration| {
            let (script, run) = run(|at| {
                let is_bad = at < last.start + bad;
                if is_bad { Outcome::Late } else { Outcome::Good }
            });
            recovery(&script, &run.notes)
        };
        // What went wrong before the phase is not its own.
        assert!(bad_until(Duration::ZERO).unwrap() <= MS * 50);
        let after_a_second = bad_until(MS * 1000).unwrap();
        assert!((MS * 1900..=MS * 2000).contains(&after_a_second), "{after_a_second:?}");
        assert_eq!(bad_until(MS * 4900), None);
        let (script, relapsing) = run(|at| {
            let is_bad = at >= last.end.saturating_sub(MS * 200);
            if is_bad { Outcome::Late } else { Outcome::Good }
        });
        assert_eq!(recovery(&script, &relapsing.notes), None);
    }
}
