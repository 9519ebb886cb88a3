//! What came of one step of load, and whether that is within the envelope.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

/// What the answers must keep to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Envelope {
    pub(crate) p95: Duration,
    /// The share of requests that may fail: 0.001 is 0.1 %.
    pub(crate) errors: f64,
}

impl Envelope {
    /// A request that starts this much after it was due is late: what it measures is no longer the
    /// target alone.
    pub(crate) fn slack(&self) -> Duration {
        self.p95 / 10
    }

    /// Latency that grows by this much from the first third of a step to its last has not settled.
    fn climb(&self) -> f64 {
        self.p95.as_secs_f64() / 4.0
    }
}

/// The share of late starts that a step may have.
const LATE: f64 = 0.01;

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// An answer below 400, read to its end.
    Good,
    /// A refusal by a layer of this crate, with its code.
    Refused(String),
    /// Any other answer, or none, with what was wrong.
    Failed(String),
}

/// A request, as the load generator saw it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Since the start of the step.
    pub(crate) due: Duration,
    /// How long after that it was sent.
    pub(crate) lag: Duration,
    /// From when it was due to its end: a late start counts against the answer.
    pub(crate) latency: Duration,
    pub(crate) ending: Ending,
}

/// What is wrong with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    Latency,
    Errors,
    /// Latency grew throughout: the step would have broken, had it lasted longer.
    Climb,
}

impl Breach {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Latency => "p95",
            Self::Errors => "errors",
            Self::Climb => "latency climbs",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Holds,
    Breaks(Breach),
    /// The load generator fell behind: this says nothing about the target.
    Invalid,
}

/// The figures of a step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Requests a second that were to be sent.
    pub(crate) rate: f64,
    pub(crate) calls: usize,
    /// Good answers within the target of the p95, for each second.
    pub(crate) goodput: f64,
    /// Of the requests that were not refused.
    pub(crate) p50: Duration,
    pub(crate) p95: Duration,
    pub(crate) p99: Duration,
    pub(crate) errors: f64,
    /// What was wrong with those that were not good, and how often.
    pub(crate) wrong: BTreeMap<String, usize>,
    /// The share of requests that were sent late, and the longest that one was.
    pub(crate) late: f64,
    pub(crate) lag: Duration,
    pub(crate) verdict: Verdict,
}

impl Step {
    /// Judges the requests that were due within a window of this length.
    pub(crate) fn of(rate: f64, window: Duration, calls: &[Call], envelope: &Envelope) -> Self {
        // A refusal is quick, and says nothing about how long an answer takes.
        let is_answer = |call: &&Call| !matches!(call.ending, Ending::Refused(_));
        let mut latencies: Vec<_> = calls.iter().filter(is_answer).map(|c| c.latency).collect();
        latencies.sort_unstable();
        let is_good = |call: &&Call| call.ending == Ending::Good && call.latency <= envelope.p95;
        let good = calls.iter().filter(is_good).count();
        let late = calls.iter().filter(|call| call.lag > envelope.slack()).count();
        let mut wrong = BTreeMap::new();
        for call in calls {
            if let Ending::Refused(what) | Ending::Failed(what) = &call.ending {
                *wrong.entry(what.clone()).or_insert(0) += 1;
            }
        }
        let of = |share| percentile(&latencies, share).unwrap_or_default();
        let mut step = Self {
            rate,
            calls: calls.len(),
            goodput: as_f64(good) / window.as_secs_f64(),
            p50: of(0.50),
            p95: of(0.95),
            p99: of(0.99),
            errors: share(wrong.values().sum(), calls.len()),
            wrong,
            late: share(late, calls.len()),
            lag: calls.iter().map(|call| call.lag).max().unwrap_or_default(),
            verdict: Verdict::Holds,
        };
        step.verdict = step.judge(calls, window, envelope);
        step
    }

    fn judge(&self, calls: &[Call], window: Duration, envelope: &Envelope) -> Verdict {
        if self.calls == 0 || self.late > LATE {
            Verdict::Invalid
        } else if self.errors > envelope.errors {
            Verdict::Breaks(Breach::Errors)
        } else if self.p95 > envelope.p95 {
            Verdict::Breaks(Breach::Latency)
        } else if climb(calls, window) > envelope.climb() {
            Verdict::Breaks(Breach::Climb)
        } else {
            Verdict::Holds
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let (verdict, breach) = match self.verdict {
            Verdict::Holds => ("holds", None),
            Verdict::Breaks(breach) => ("breaks", Some(breach.name())),
            Verdict::Invalid => ("invalid", None),
        };
        json!({
            "rate": self.rate,
            "requests": self.calls,
            "goodput": self.goodput,
            "p50_ms": millis(self.p50),
            "p95_ms": millis(self.p95),
            "p99_ms": millis(self.p99),
            "errors": self.errors,
            "wrong": self.wrong,
            "late_starts": self.late,
            "longest_lag_ms": millis(self.lag),
            "verdict": verdict,
            "broken_by": breach,
        })
    }
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// By nearest rank: the smallest that at least this share of all is no larger than.
fn percentile(sorted: &[Duration], share: f64) -> Option<Duration> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most the length"
    )]
    let rank = (share * as_f64(sorted.len())).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

fn mean(latencies: &[Duration]) -> Duration {
    let sum: Duration = latencies.iter().sum();
    sum.checked_div(u32::try_from(latencies.len()).unwrap_or(u32::MAX)).unwrap_or_default()
}

/// By how many seconds the mean latency of the last third is above that of the first.
fn climb(calls: &[Call], window: Duration) -> f64 {
    let start = calls.iter().map(|call| call.due).min().unwrap_or_default();
    let third = |from: u32| {
        let part = start + window * from / 3..start + window * (from + 1) / 3;
        let within = calls.iter().filter(|call| part.contains(&call.due));
        mean(&within.map(|call| call.latency).collect::<Vec<_>>()).as_secs_f64()
    };
    third(2) - third(0)
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { as_f64(part) / as_f64(whole) }
}

#[allow(clippy::cast_precision_loss, reason = "requests of a step")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: Envelope = Envelope { p95: Duration::from_millis(200), errors: 0.001 };
    const WINDOW: Duration = Duration::from_secs(2);

    /// A thousand requests in two seconds, each as long as `latency` says, in ms.
    fn calls(latency: impl Fn(u64) -> u64) -> Vec<Call> {
        let call = |index| Call {
            due: Duration::from_millis(500 + 2 * index),
            lag: Duration::ZERO,
            latency: Duration::from_millis(latency(index)),
            ending: Ending::Good,
        };
        (0..1000).map(call).collect()
    }

    fn judged(calls: &[Call]) -> Step {
        Step::of(500.0, WINDOW, calls, &ENVELOPE)
    }

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let of = |count: u64, share| {
            let sorted: Vec<_> = (1..=count).map(Duration::from_millis).collect();
            percentile(&sorted, share).map(|latency| latency.as_millis())
        };
        assert_eq!(of(100, 0.95), Some(95));
        assert_eq!(of(101, 0.95), Some(96));
        assert_eq!(of(1, 0.5), Some(1));
        assert_eq!(of(4, 0.5), Some(2));
        assert_eq!(of(10, 0.0), Some(1));
        assert_eq!(of(0, 0.95), None);
    }

    #[test]
    fn a_step_holds_up_to_the_bounds_of_the_envelope_and_breaks_beyond() {
        let holds = judged(&calls(|index| if index % 20 == 0 { 900 } else { 200 }));
        assert_eq!(holds.verdict, Verdict::Holds);
        assert_eq!((holds.calls, holds.goodput), (1000, 475.0));
        let slow = judged(&calls(|index| if index % 19 == 0 { 900 } else { 40 }));
        assert_eq!(slow.verdict, Verdict::Breaks(Breach::Latency));

        let mut failing = calls(|_| 40);
        failing[3].ending = Ending::Refused("bulkhead_full".to_owned());
        assert_eq!(judged(&failing).verdict, Verdict::Holds, "one in a thousand");
        failing[4].ending = Ending::Failed("answer 500".to_owned());
        let failing = judged(&failing);
        assert_eq!(failing.verdict, Verdict::Breaks(Breach::Errors));
        assert_eq!(failing.wrong["bulkhead_full"], 1);
        assert_eq!(failing.wrong["answer 500"], 1);
    }

    #[test]
    fn latency_that_has_not_settled_breaks_a_step_that_is_within_its_bounds_yet() {
        // From 40 ms on, by what leaves the p95 at 199 ms.
        let climbing = judged(&calls(|index| 40 + index / 6));
        assert!(climbing.p95 <= ENVELOPE.p95);
        assert_eq!(climbing.verdict, Verdict::Breaks(Breach::Climb));
        let slightly = judged(&calls(|index| 40 + index / 16));
        assert_eq!(slightly.verdict, Verdict::Holds);
        let falling = judged(&calls(|index| 199 - index / 6));
        assert_eq!(falling.verdict, Verdict::Holds);
    }

    #[test]
    fn refusals_do_not_make_the_answers_look_quick() {
        let mut half = calls(|index| if index % 2 == 0 { 1 } else { 300 });
        for call in half.iter_mut().step_by(2) {
            call.ending = Ending::Refused("limit_reached".to_owned());
        }
        let half = judged(&half);
        assert_eq!((half.p50, half.p95), (Duration::from_millis(300), Duration::from_millis(300)));
        assert!(half.goodput.abs() < f64::EPSILON);
    }

    #[test]
    fn a_generator_that_was_late_has_measured_nothing() {
        let late = |count: usize, lag: Duration| {
            let mut calls = calls(|_| 500);
            calls.iter_mut().take(count).for_each(|call| call.lag = lag);
            judged(&calls).verdict
        };
        let slack = ENVELOPE.slack();
        let breaks = Verdict::Breaks(Breach::Latency);
        assert_eq!(late(11, slack + Duration::from_millis(1)), Verdict::Invalid);
        assert_eq!(late(10, slack + Duration::from_millis(1)), breaks);
        assert_eq!(late(1000, slack), breaks);
        assert_eq!(judged(&[]).verdict, Verdict::Invalid);
    }
}
