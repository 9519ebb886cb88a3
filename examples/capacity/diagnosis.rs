//! What saturated: a step that held and one that broke, side by side.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::signals::Signals;

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A layer that lets no more in: bulkhead, adaptive limit, rate limit, load shed.
    Limit,
    /// What a layer calls in another service.
    Dependency,
    /// What a layer calls in the target itself.
    Workers,
    /// A circuit breaker, by failures of what it calls.
    Breaker,
}

/// The resource that saturated, by the labels of the layer that shows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Diagnosis {
    pub(crate) kind: Kind,
    pub(crate) layer: String,
    pub(crate) name: String,
    pub(crate) evidence: Vec<String>,
}

impl Diagnosis {
    pub(crate) fn resource(&self) -> String {
        let Self { layer, name, .. } = self;
        match self.kind {
            Kind::Limit | Kind::Breaker => format!("{layer} `{name}`"),
            Kind::Dependency => format!("the dependency behind `{name}`"),
            Kind::Workers => format!("what works behind {layer} `{name}`"),
        }
    }

    /// What happens to it.
    pub(crate) fn clause(&self) -> String {
        let verb = if self.kind == Kind::Breaker { "opens" } else { "saturates" };
        format!("{} {verb}", self.resource())
    }

    pub(crate) fn to_json(&self) -> Value {
        let kind = match self.kind {
            Kind::Limit => "limit",
            Kind::Dependency => "dependency",
            Kind::Workers => "workers",
            Kind::Breaker => "breaker",
        };
        json!({
            "kind": kind,
            "layer": self.layer,
            "name": self.name,
            "evidence": self.evidence,
        })
    }
}

/// Of the seconds by which the average request became slower, the share that makes a part of its
/// way the reason.
const MOST: f64 = 0.5;

/// Below this growth, in seconds, nothing has become slower: timers and noise do as much.
const NOTHING: f64 = 0.005;

/// A limit of which this much is in use on average is full most of the time.
const FULL: f64 = 0.95;

/// The share of calls that a layer may refuse before that is a sign.
const FEW: f64 = 0.001;

/// Names what saturated between a step that held at a low load and one that broke, of `all`.
///
/// Every series of latency holds those further in, so the added time is followed inwards. Where it
/// was added in a queue, while what the queue is for takes as long as before, the limit is the
/// reason. Otherwise it is whatever the innermost layer calls that became slower: limits further
/// out that have filled up meanwhile did so by Little's law. `None` where nothing that reports has
/// changed: the requests waited where no layer stands.
pub(crate) fn diagnose(
    before: &[Signals],
    after: &[Signals],
    all: &[&[Signals]],
) -> Option<Diagnosis> {
    let parts = parts(before, after);
    let added = parts.iter().map(|part| part.slower + part.queued).fold(NOTHING, f64::max);
    let is_slower = |part: &&Part<'_>| part.slower >= MOST * added;

    let limits = parts.iter().filter(|part| part.presses(MOST * added) && !is_slower(part));
    let limit = limits.max_by(|a, b| a.pressure().total_cmp(&b.pressure()));
    if let Some(part) = limit {
        return Some(part.name(Kind::Limit, added));
    }
    let slower: Vec<_> = parts.iter().filter(is_slower).collect();
    if let Some(part) = innermost(&slower, all) {
        let is_remote = |other: &Signals| {
            let layers = ["circuit_breaker", "hedge", "retry"];
            other.name == part.after.name && layers.contains(&other.layer.as_str())
        };
        let kind = if after.iter().any(is_remote) { Kind::Dependency } else { Kind::Workers };
        return Some(part.name(kind, added));
    }
    let breaker = parts.iter().find(|part| !part.after.states.is_empty());
    breaker.map(|part| part.name(Kind::Breaker, added))
}

/// The part whose calls take the least time, by most of the steps. A layer that does nothing but
/// watch takes some microseconds, and a call that ended between two lines of one scrape moves an
/// average by more: a single step may be mistaken.
fn innermost<'a, 'b>(parts: &[&'b Part<'a>], all: &[&[Signals]]) -> Option<&'b Part<'a>> {
    let latency = |step: &[Signals], part: &Part<'_>| {
        let signals = step.iter().find(|signals| signals.is_same(part.after));
        signals.filter(|signals| signals.calls > 0.0).map(|signals| signals.latency)
    };
    let is_within = |part: &Part<'_>, other: &Part<'_>| {
        let ahead = all.iter().filter_map(|step| {
            latency(step, part)?.partial_cmp(&latency(step, other)?).map(|order| order as i32)
        });
        ahead.sum::<i32>() < 0
    };
    let holds = |part: &&&Part<'_>| parts.iter().filter(|other| is_within(part, other)).count();
    parts.iter().max_by_key(holds).copied()
}

/// A layer in both steps.
struct Part<'a> {
    before: Signals,
    after: &'a Signals,
    /// Calls for each request of the target's.
    per_request: f64,
    /// The seconds that it added to the average request: once admitted, and before.
    slower: f64,
    queued: f64,
}

fn parts<'a>(before: &[Signals], after: &'a [Signals]) -> Vec<Part<'a>> {
    let requests = after.iter().map(|signals| signals.calls).fold(1.0, f64::max);
    let of = |after: &'a Signals| {
        let same = |s: &&Signals| s.is_same(after) && s.calls > 0.0;
        // What was not called before cannot have become slower.
        let unknown = || Signals { wait: 0.0, ..after.clone() };
        let before = before.iter().find(same).cloned().unwrap_or_else(unknown);
        let per_request = after.calls / requests;
        let slower = (after.latency - before.latency) * per_request;
        let queued = (after.wait - before.wait) * per_request;
        Part { before, after, per_request, slower, queued }
    };
    after.iter().map(of).collect()
}

impl Part<'_> {
    /// Whether it holds calls back, or off.
    fn presses(&self, much: f64) -> bool {
        let is_full = self.after.utilisation().is_some_and(|share| share >= FULL);
        self.queued >= much || is_full || self.refused() > FEW
    }

    fn pressure(&self) -> f64 {
        self.queued.max(0.0) + self.refused() + self.after.utilisation().unwrap_or(0.0) * 1e-6
    }

    /// The share of its calls that it refused for want of room.
    fn refused(&self) -> f64 {
        let of_others = ["timed_out", "deadline_exceeded", "circuit_open"];
        let refused = self.after.refused(|reason| !of_others.contains(&reason));
        refused / (refused + self.after.calls).max(1.0)
    }

    fn name(&self, kind: Kind, added: f64) -> Diagnosis {
        let (layer, name) = (self.after.layer.clone(), self.after.name.clone());
        Diagnosis { kind, layer, name, evidence: self.evidence(kind, added) }
    }

    fn evidence(&self, kind: Kind, added: f64) -> Vec<String> {
        let Self { before, after, .. } = self;
        let mut evidence = Vec::new();
        let share = |part: f64| (part / added * 100.0).clamp(0.0, 100.0);
        if let (Some(limit), Some(now)) = (after.limit, after.utilisation()) {
            let was = before.utilisation().unwrap_or(0.0) * 100.0;
            evidence.push(format!(
                "in use, of a limit of {limit:.0}: {was:.0} % at the lowest load, {:.0} % when it broke",
                now * 100.0
            ));
        }
        if after.wait > 0.0 || after.queued > 0.0 {
            let mut line = format!(
                "wait in its queue: {:.1} ms, then {:.1} ms, with {:.1} in line",
                before.wait * 1e3,
                after.wait * 1e3,
                after.queued
            );
            if kind == Kind::Limit && self.queued >= NOTHING {
                let _ = write!(line, "; {:.0} % of the time that was added", share(self.queued));
            }
            evidence.push(line);
        }
        let [was, is] = [before.latency, after.latency].map(|latency| latency * 1e3);
        let behind = match kind {
            Kind::Limit => "what it lets in takes as long as before".to_owned(),
            _ => format!("{:.0} % of the time that was added", share(self.slower)),
        };
        evidence.push(format!("time behind it: {was:.1} ms, then {is:.1} ms; {behind}"));
        for (reason, count) in &after.rejections {
            evidence.push(format!("refused with `{reason}`: {count:.0}"));
        }
        for state in &after.states {
            evidence.push(format!("its circuit was {state}"));
        }
        if self.per_request > 0.0 && self.per_request < 0.9 {
            evidence.push(format!("called for {:.0} % of the requests", self.per_request * 100.0));
        }
        evidence
    }
}

#[cfg(test)]
#[path = "diagnosis_tests.rs"]
mod tests;
