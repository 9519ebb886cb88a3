//! The figures: from the notes of a run to goodput, percentiles, refusals and recovery.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::orders::report::OrderReport;
use crate::record::{Call, Notes, Outcome, Sample};
use crate::script::{Phase, Route, Script};

/// Goodput from which on a route counts as recovered.
pub(crate) const RECOVERED: f64 = 0.95;

/// The longest line at payments that is no sign of trouble: two calls for each of its workers, who
/// serve them in 60 ms.
const SHORT_LINE: usize = 20;

/// What one storefront's run came to.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) phases: Vec<PhaseReport>,
    /// For each route in the order of [`Route::ALL`]: from the start of the last phase until the
    /// goodput was back for good; `None` where it never was.
    pub(crate) recovery: [Option<Duration>; 2],
    /// From the end of the trouble until the line at payments was short for good; `None` where it
    /// never was.
    pub(crate) payments: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct PhaseReport {
    pub(crate) phase: Phase,
    /// In the order of [`Route::ALL`].
    pub(crate) routes: [RouteReport; 2],
}

/// The calls to one route that were due within one phase.
#[derive(Debug)]
pub(crate) struct RouteReport {
    pub(crate) route: Route,
    pub(crate) offered: usize,
    pub(crate) good: usize,
    /// Over all calls, whatever their outcome; one without an answer took the deadline.
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
    /// Requests that the service received within the phase, and attempts to connect that it refused.
    pub(crate) upstream_calls: usize,
    pub(crate) refused: BTreeMap<String, usize>,
}

impl RouteReport {
    /// From 0 to 1; 1 where nothing was offered.
    pub(crate) fn goodput(&self) -> f64 {
        share(self.good, self.offered).unwrap_or(1.0)
    }

    /// Calls that reached the service behind the route for each call of a customer.
    pub(crate) fn amplification(&self) -> f64 {
        share(self.upstream_calls, self.offered).unwrap_or(0.0)
    }
}

impl Report {
    pub(crate) fn new(script: &Script, notes: &Notes) -> Self {
        let phases = script.phases.iter().map(|phase| PhaseReport {
            phase: *phase,
            routes: Route::ALL.map(|route| within(phase, route, notes)),
        });
        let recovery = Route::ALL.map(|route| recovery(script, route, &notes.calls));
        Self { phases: phases.collect(), recovery, payments: line_recovery(script, &notes.samples) }
    }

    pub(crate) fn to_json(&self, orders: &OrderReport) -> Value {
        let phases = self.phases.iter().map(|phase| {
            let routes = phase.routes.iter().map(RouteReport::to_json);
            let routes: Map<_, _> = Route::ALL.map(path).into_iter().zip(routes).collect();
            json!({ "name": phase.phase.name, "routes": routes })
        });
        let seconds = self.recovery.map(|recovery| json!(recovery.map(|time| rounded(time, 1.0))));
        let recovery: Map<_, _> = Route::ALL.map(path).into_iter().zip(seconds).collect();
        json!({
            "phases": phases.collect::<Vec<_>>(),
            "recovery_s": recovery,
            "payments_recovery_s": self.payments.map(|time| rounded(time, 1.0)),
            "orders": orders.to_json(),
        })
    }
}

impl RouteReport {
    fn to_json(&self) -> Value {
        json!({
            "offered": self.offered,
            "good": self.good,
            "p50_ms": self.p50.map(|latency| rounded(latency, 1e3)),
            "p99_ms": self.p99.map(|latency| rounded(latency, 1e3)),
            "upstream_calls": self.upstream_calls,
            "amplification": (self.amplification() * 100.0).round() / 100.0,
            "refused": self.refused,
        })
    }
}

fn path(route: Route) -> String {
    route.path().to_owned()
}

/// `time` in units of which there are `per_second`, to two places.
fn rounded(time: Duration, per_second: f64) -> f64 {
    (time.as_secs_f64() * per_second * 100.0).round() / 100.0
}

fn within(phase: &Phase, route: Route, notes: &Notes) -> RouteReport {
    let calls = || notes.calls.iter().filter(|call| call.route == route && phase.contains(call.at));
    let mut latencies: Vec<_> = calls().map(|call| call.latency).collect();
    latencies.sort_unstable();
    let mut refused = BTreeMap::new();
    for call in calls() {
        if let Outcome::Refused(code) = &call.outcome {
            *refused.entry(code.clone()).or_default() += 1;
        }
    }
    let reached = |at: &&crate::record::Reached| at.route == route && phase.contains(at.at);
    RouteReport {
        route,
        offered: latencies.len(),
        good: calls().filter(|call| call.outcome == Outcome::Good).count(),
        p50: percentile(&latencies, 50),
        p99: percentile(&latencies, 99),
        upstream_calls: notes.reached.iter().filter(reached).count(),
        refused,
    }
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
/// stayed so to the end.
fn recovery(script: &Script, route: Route, calls: &[Call]) -> Option<Duration> {
    let last = script.last();
    let mut calls: Vec<_> = calls.iter().filter(|call| call.route == route).collect();
    calls.sort_unstable_by_key(|call| call.at);
    let goodput_before = |end: Duration| {
        let start = end.saturating_sub(script.window());
        let from = calls.partition_point(|call| call.at < start);
        let to = calls.partition_point(|call| call.at < end);
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

/// How long after the end of the trouble the line at payments was short, and stayed so to the end:
/// on average over a quarter of a window.
fn line_recovery(script: &Script, samples: &[Sample]) -> Option<Duration> {
    let (width, mut end) = (script.window() / 4, script.length);
    let is_short = |end: Duration| {
        let window = end.saturating_sub(width)..end;
        let lines = samples.iter().filter(|sample| window.contains(&sample.at));
        let (sum, count) = lines.fold((0, 0), |(sum, n), sample| (sum + sample.in_line, n + 1));
        sum <= SHORT_LINE * count
    };
    let mut since = None;
    while let Some(time) = end.checked_sub(script.trouble_ends())
        && is_short(end)
    {
        since = Some(time);
        end = end.saturating_sub(width / 5);
    }
    since
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Reached;

    const STEP: Duration = Duration::from_millis(10);

    /// A call to each route every 10 ms of a 20 s run; `/checkout` fails while `trouble` says so.
    fn notes(trouble: impl Fn(Duration) -> bool) -> (Script, Notes) {
        let script = Script::lasting(Duration::from_secs(20));
        let mut notes = Notes::default();
        let mut at = Duration::ZERO;
        while at < script.length {
            for route in Route::ALL {
                let refused = route == Route::Checkout && trouble(at);
                let outcome = if refused {
                    Outcome::Refused("circuit_open".to_owned())
                } else {
                    Outcome::Good
                };
                notes.calls.push(Call { route, at, latency: STEP, outcome });
                if !refused {
                    notes.reached.push(Reached { route, at });
                }
            }
            at += STEP;
        }
        (script, notes)
    }

    /// `trouble` is handed the time since the start of the last phase; zero before it.
    fn seconds_to_recover(trouble: impl Fn(Duration) -> bool) -> Option<f64> {
        let last = *Script::lasting(Duration::from_secs(20)).last();
        let (script, notes) = notes(|at| trouble(at.saturating_sub(last.start)));
        Report::new(&script, &notes).recovery[0].map(|time| time.as_secs_f64())
    }

    #[test]
    fn recovery_is_when_the_window_before_is_good_and_stays_so() {
        let until = |end: f64| move |at: Duration| at.as_secs_f64() < end;
        assert_eq!(seconds_to_recover(|_| false), Some(0.0));
        // 95 % of the window of one second are good 0.95 s after the last failure.
        let back = seconds_to_recover(until(2.0)).unwrap();
        assert!((2.9..=3.05).contains(&back), "back after {back} s");
        assert_eq!(seconds_to_recover(|_| true), None);
        let relapse = |at: Duration| until(1.0)(at) || (4.0..4.2).contains(&at.as_secs_f64());
        let back = seconds_to_recover(relapse).unwrap();
        assert!((5.0..=5.25).contains(&back), "a relapse was overlooked: {back} s");
        let at_the_end = |at: Duration| at.as_secs_f64() > 5.8;
        assert_eq!(seconds_to_recover(at_the_end), None);
    }

    /// The line at payments is as long as `length` says at a time since the end of the trouble.
    fn seconds_until_the_line_is_short(length: impl Fn(f64) -> usize) -> Option<f64> {
        let (script, mut notes) = notes(|_| false);
        let mut at = Duration::ZERO;
        while at < script.length {
            let since = at.saturating_sub(script.trouble_ends()).as_secs_f64();
            notes.samples.push(Sample { at, workers: 0, in_line: length(since) });
            at += STEP;
        }
        Report::new(&script, &notes).payments.map(|time| time.as_secs_f64())
    }

    #[test]
    fn payments_has_recovered_when_its_line_is_short_for_good() {
        assert_eq!(seconds_until_the_line_is_short(|_| SHORT_LINE), Some(0.0));
        let back = seconds_until_the_line_is_short(|at| if at < 1.0 { 40 } else { 0 }).unwrap();
        assert!((1.1..1.2).contains(&back), "half of a window of a quarter of a second: {back}");
        let relapse = |at: f64| if (2.0..2.5).contains(&at) { 100 } else { 0 };
        let back = seconds_until_the_line_is_short(relapse).unwrap();
        assert!((2.5..2.8).contains(&back), "{back}");
        assert_eq!(seconds_until_the_line_is_short(|_| SHORT_LINE + 1), None);
    }

    #[test]
    fn calls_count_in_the_phase_in_which_they_were_due() {
        let (script, notes) =
            notes(|at| (Duration::from_secs(3)..Duration::from_secs(4)).contains(&at));
        let report = Report::new(&script, &notes);
        for route in 0..2 {
            let offered = report.phases.iter().map(|phase| phase.routes[route].offered);
            assert_eq!(offered.sum::<usize>(), 2000);
        }
        let [checkout, catalog] = &report.phases[1].routes;
        assert_eq!((checkout.offered, checkout.good, checkout.upstream_calls), (280, 180, 180));
        assert_eq!(checkout.refused, BTreeMap::from([("circuit_open".to_owned(), 100)]));
        assert_eq!((catalog.good, catalog.refused.len()), (280, 0));
        assert_eq!(catalog.p99, Some(STEP));
    }

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let sorted: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Some(Duration::from_millis(100)));
        assert_eq!(percentile(&sorted, 99), Some(Duration::from_millis(198)));
        assert_eq!(percentile(&sorted[..1], 99), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn the_document_has_every_phase_and_route() {
        let (script, notes) = notes(|_| false);
        let document = Report::new(&script, &notes).to_json(&OrderReport::default());
        let phases = document["phases"].as_array().unwrap();
        assert_eq!(phases.len(), script.phases.len());
        for (phase, planned) in phases.iter().zip(&script.phases) {
            assert_eq!(phase["name"], planned.name);
            for route in Route::ALL {
                let figures = phase["routes"][route.path()].as_object().unwrap();
                let keys: Vec<_> = figures.keys().map(String::as_str).collect();
                let wanted = [
                    "amplification",
                    "good",
                    "offered",
                    "p50_ms",
                    "p99_ms",
                    "refused",
                    "upstream_calls",
                ];
                assert_eq!(keys, wanted);
                assert_eq!(figures["p50_ms"], 10.0);
            }
        }
        assert_eq!(document["recovery_s"], json!({ "/checkout": 0.0, "/catalog": 0.0 }));
        assert_eq!(document["payments_recovery_s"], json!(0.0));
        assert_eq!(document["orders"]["duplicate_rows"], 0);
    }
}
