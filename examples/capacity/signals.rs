//! What the target's layers did during a step, read off its metrics.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::prometheus::Sample;

/// One layer instance over a step, by its labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Signals {
    pub(crate) layer: String,
    pub(crate) name: String,
    /// Calls that ended within, and how long they took on average once admitted, in seconds.
    pub(crate) calls: f64,
    pub(crate) latency: f64,
    /// The seconds that a call stood in the layer's queue, on average over all that ended.
    pub(crate) wait: f64,
    /// Those that it answered itself, by reason.
    pub(crate) rejections: BTreeMap<String, f64>,
    /// The gauges, on average over the step.
    pub(crate) in_flight: f64,
    pub(crate) queued: f64,
    pub(crate) limit: Option<f64>,
    /// The states other than closed that a circuit breaker was seen in.
    pub(crate) states: BTreeSet<String>,
}

impl Signals {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.layer == other.layer && self.name == other.name
    }

    /// How much of its limit was in use: 1 is all of it.
    pub(crate) fn utilisation(&self) -> Option<f64> {
        self.limit.filter(|limit| *limit > 0.0).map(|limit| self.in_flight / limit)
    }

    pub(crate) fn refused(&self, is_meant: impl Fn(&str) -> bool) -> f64 {
        let meant = self.rejections.iter().filter(|(reason, _)| is_meant(reason));
        // Not `sum`, whose nothing is a negative zero.
        meant.fold(0.0, |sum, (_, count)| sum + count)
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "layer": self.layer,
            "name": self.name,
            "calls": self.calls,
            "latency_ms": self.latency * 1e3,
            "queue_wait_ms": self.wait * 1e3,
            "rejections": self.rejections,
            "in_flight": self.in_flight,
            "queued": self.queued,
            "limit": self.limit,
            "utilisation": self.utilisation(),
            "breaker_states": self.states,
        })
    }
}

/// The scrapes of a step, the first at its start and the last at its end.
pub(crate) fn read(scrapes: &[Vec<Sample>]) -> Vec<Signals> {
    let [first, .., last] = scrapes else { return Vec::new() };
    let mut all: BTreeMap<(String, String), Signals> = BTreeMap::new();
    for sample in last.iter().filter(|sample| sample.metric.starts_with("buttress_")) {
        let key = key(sample);
        let (layer, name) = key.clone();
        let signals = all.entry(key).or_insert(Signals { layer, name, ..Signals::default() });
        // A counter that was not there yet stood at 0. One that fell has been started anew.
        let since = |before: Option<f64>| {
            before
                .filter(|before| *before <= sample.value)
                .map_or(sample.value, |b| sample.value - b)
        };
        let grown = since(value(first, sample));
        match sample.metric.as_str() {
            "buttress_latency_seconds_count" => signals.calls = grown,
            // Sums for now.
            "buttress_latency_seconds_sum" => signals.latency = grown,
            "buttress_queue_seconds_sum" => signals.wait = grown,
            "buttress_rejections_total" if grown > 0.0 => {
                signals.rejections.insert(sample.label("reason").to_owned(), grown);
            }
            "buttress_in_flight" => signals.in_flight = average(scrapes, sample),
            "buttress_queued" => signals.queued = average(scrapes, sample),
            "buttress_limit" => signals.limit = Some(average(scrapes, sample)),
            "buttress_breaker_state" if average(scrapes, sample) > 0.0 => {
                signals.states.insert(sample.label("state").to_owned());
            }
            _ => {}
        }
    }
    let mut all: Vec<_> = all.into_values().collect();
    for signals in &mut all {
        signals.states.remove("closed");
        if signals.calls > 0.0 {
            signals.latency /= signals.calls;
            signals.wait /= signals.calls;
        }
    }
    all
}

/// A breaker's states come without the layer, since nothing else has any.
fn key(sample: &Sample) -> (String, String) {
    let layer = match sample.metric.as_str() {
        "buttress_breaker_state" | "buttress_transitions_total" => "circuit_breaker",
        "buttress_retries_total" | "buttress_budget_tokens" => "retry",
        "buttress_idempotency_total" => "idempotency",
        _ => sample.label("layer"),
    };
    (layer.to_owned(), sample.label("name").to_owned())
}

fn value(scrape: &[Sample], of: &Sample) -> Option<f64> {
    let same = |sample: &&Sample| sample.metric == of.metric && sample.labels == of.labels;
    scrape.iter().find(same).map(|sample| sample.value)
}

fn average(scrapes: &[Vec<Sample>], of: &Sample) -> f64 {
    let values = scrapes.iter().filter_map(|scrape| value(scrape, of));
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::parse;

    fn scrape(lines: &str) -> Vec<Sample> {
        parse(lines).unwrap()
    }

    #[test]
    fn counters_count_from_the_first_scrape_and_gauges_are_averaged() {
        let of = r#"{layer="bulkhead",name="http""#;
        let page = |calls, sum, waited, full, in_flight| {
            scrape(&format!(
                "buttress_latency_seconds_count{of}}} {calls}\n\
                 buttress_latency_seconds_sum{of}}} {sum}\n\
                 buttress_latency_seconds_bucket{of},le=\"1\"}} {calls}\n\
                 buttress_queue_seconds_sum{of}}} {waited}\n\
                 buttress_rejections_total{of},reason=\"bulkhead_full\"}} {full}\n\
                 buttress_rejections_total{of},reason=\"timed_out\"}} 3\n\
                 buttress_in_flight{of}}} {in_flight}\n\
                 buttress_limit{of}}} 16\nsomething_else 3\n"
            ))
        };
        let signals = read(&[
            page(100, 4.0, 0.0, 7, 10),
            page(200, 9.0, 1.0, 7, 16),
            page(300, 14.0, 20.0, 9, 16),
        ]);
        let [http] = signals.as_slice() else { panic!("{signals:?}") };
        assert_eq!((http.layer.as_str(), http.name.as_str()), ("bulkhead", "http"));
        assert_eq!((http.calls, http.latency, http.wait), (200.0, 0.05, 0.1));
        assert_eq!(http.rejections, BTreeMap::from([("bulkhead_full".to_owned(), 2.0)]));
        assert_eq!(http.refused(|reason| reason == "bulkhead_full").to_string(), "2");
        assert_eq!((http.in_flight, http.limit), (14.0, Some(16.0)));
        assert_eq!(http.utilisation(), Some(14.0 / 16.0));
    }

    #[test]
    fn a_counter_that_is_new_counts_from_nothing_and_one_that_was_reset_starts_anew() {
        let count =
            |count| scrape(&format!("buttress_latency_seconds_count{{name=\"a\"}} {count}"));
        assert_eq!(read(&[vec![], count(5)])[0].calls.to_string(), "5");
        assert_eq!(read(&[count(9), count(5)])[0].calls.to_string(), "5");
        assert_eq!(read(&[count(5), count(5)])[0].calls.to_string(), "0");
    }

    #[test]
    fn a_breaker_that_was_open_for_a_moment_is_seen_and_belongs_to_its_layer() {
        let state = |open| {
            let of = |state| format!("buttress_breaker_state{{name=\"db\",state=\"{state}\"}}");
            scrape(&format!("{} {}\n{} {open}", of("closed"), 1 - open, of("open")))
        };
        let signals = read(&[state(0), state(1), state(0)]);
        let [db] = signals.as_slice() else { panic!("{signals:?}") };
        assert_eq!((db.layer.as_str(), db.name.as_str()), ("circuit_breaker", "db"));
        assert_eq!(db.states, BTreeSet::from(["open".to_owned()]));
        assert!(read(&[state(0), state(0)])[0].states.is_empty());
    }

    #[test]
    fn one_scrape_is_not_enough() {
        assert!(read(&[scrape("buttress_limit 1")]).is_empty());
        assert!(read(&[]).is_empty());
    }
}
