//! The parts of a report: what each group of clients got, and what each server did.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{index, moment, percentile};
use crate::observe::EventKind;
use crate::sim::clients::Clients;
use crate::sim::record::End;

/// What a group of clients got. Each request that was offered ended in exactly one of the ways.
#[derive(Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClientReport {
    /// Requests.
    pub offered: u64,
    /// Answered inside their deadline.
    pub good: u64,
    /// Answered after it.
    pub late: u64,
    /// Refused by a layer, by the [code](crate::Reason::code) of the reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Failed otherwise.
    pub failed: u64,
    /// Given up by the client itself.
    pub timed_out: u64,
    /// Ended by a panic in the stack.
    pub panicked: u64,
    /// Still out at the end of the run.
    pub unfinished: u64,
    /// Attempts of the clients themselves, of the requests that ended.
    pub attempts: u64,
    /// The latency of each good request, in nanoseconds, shortest first.
    #[serde(skip)]
    pub latencies: Vec<u64>,
    /// The same counts over time, by when requests were sent: one entry for each
    /// [`Report::moment`](super::Report::moment).
    #[serde(skip)]
    pub moments: Vec<ClientMoment>,
    #[serde(skip)]
    pub(in crate::sim) deadline: Duration,
    #[serde(skip)]
    pub(in crate::sim) step: Duration,
}

/// What became of the requests that were sent in one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClientMoment {
    /// Requests.
    pub offered: u64,
    /// Answered inside their deadline.
    pub good: u64,
    /// Refused by a layer.
    pub refused: u64,
}

/// What a server did.
#[derive(Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServerReport {
    /// Attempts that were sent to it.
    pub sent: u64,
    /// Those that got to its workers, or to the line before them.
    pub arrived: u64,
    /// Attempts or answers that the wire lost, and answers that a silent crash took.
    pub cut: u64,
    /// Attempts that it answered at once: line full, or down.
    pub refused: u64,
    /// Done.
    pub completed: u64,
    /// Done, and failed.
    pub failed: u64,
    /// Lost in a crash.
    pub reset: u64,
    /// Stopped, since the caller had gone.
    pub cancelled: u64,
    /// Attempts whose caller had gone before they were done, and that were done all the same.
    pub unheard: u64,
    /// In work or in line at the end of the run.
    pub unfinished: u64,
    /// Over time: one entry for each [`Report::moment`](super::Report::moment).
    #[serde(skip)]
    pub moments: Vec<ServerMoment>,
    /// The groups of clients whose requests came here.
    #[serde(skip)]
    pub(in crate::sim) callers: Vec<u32>,
    #[serde(skip)]
    pub(in crate::sim) step: Duration,
}

/// What a server did in one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServerMoment {
    /// Attempts that were sent to it.
    pub sent: u64,
    /// Attempts that it completed.
    pub completed: u64,
    /// The most that it had in work at once.
    pub busy: u32,
    /// The longest line.
    pub waiting: u64,
    /// How many requests it could have answered well at best, with the faults of that time.
    pub capacity: f64,
}

/// How often a layer reported which event.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LayerReport {
    /// The kind of layer.
    pub layer: &'static str,
    /// The instance.
    pub name: String,
    /// Kinds of event, without the times in them, in the order of their first, and how many.
    pub counts: Vec<(EventKind, u64)>,
}

impl ClientReport {
    pub(in crate::sim) fn of(clients: &Clients, step: Duration) -> Self {
        Self { deadline: clients.deadline, step, ..Self::default() }
    }

    pub(in crate::sim) fn moment(&mut self, at: Duration) -> &mut ClientMoment {
        moment(&mut self.moments, index(at, self.step))
    }

    pub(in crate::sim) fn end(&mut self, end: End, from: Duration, latency: Duration) {
        match end {
            End::Answered if latency <= self.deadline => {
                self.good += 1;
                self.latencies.push(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
                self.moment(from).good += 1;
            }
            End::Answered => self.late += 1,
            End::Refused(reason) => {
                *self.refused.entry(reason.code()).or_default() += 1;
                self.moment(from).refused += 1;
            }
            End::Failed => self.failed += 1,
            End::TimedOut => self.timed_out += 1,
            End::Panicked => self.panicked += 1,
        }
    }

    /// How many ended, in whatever way.
    #[must_use]
    pub fn ended(&self) -> u64 {
        let refused: u64 = self.refused.values().sum();
        self.good + self.late + refused + self.failed + self.timed_out + self.panicked
    }

    /// The latency that this share of the good requests, 0 to 1, did not exceed.
    #[must_use]
    pub fn latency(&self, share: f64) -> Duration {
        percentile(&self.latencies, share)
    }
}

impl ServerReport {
    pub(in crate::sim) fn new(step: Duration) -> Self {
        Self { step, ..Self::default() }
    }

    pub(in crate::sim) fn moment(&mut self, at: Duration) -> &mut ServerMoment {
        moment(&mut self.moments, index(at, self.step))
    }

    pub(super) fn is_conserved(&self) -> bool {
        let ended = self.refused + self.completed + self.failed + self.reset + self.cancelled;
        self.arrived == ended + self.unfinished
    }
}

impl LayerReport {
    pub(in crate::sim) fn new(layer: &'static str, name: &str) -> Self {
        Self { layer, name: name.to_owned(), counts: Vec::new() }
    }

    /// Counts one, and says which kind it is, as a number.
    pub(in crate::sim) fn count(&mut self, kind: EventKind) -> usize {
        if let Some(at) = self.counts.iter().position(|(known, _)| *known == kind) {
            self.counts[at].1 += 1;
            return at;
        }
        self.counts.push((kind, 1));
        self.counts.len() - 1
    }
}

// Their series would fill the screen of whoever prints a report to see what is in it.

impl fmt::Debug for ClientReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientReport")
            .field("offered", &self.offered)
            .field("good", &self.good)
            .field("late", &self.late)
            .field("refused", &self.refused)
            .field("failed", &self.failed)
            .field("timed_out", &self.timed_out)
            .field("panicked", &self.panicked)
            .field("unfinished", &self.unfinished)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerReport")
            .field("sent", &self.sent)
            .field("arrived", &self.arrived)
            .field("cut", &self.cut)
            .field("refused", &self.refused)
            .field("completed", &self.completed)
            .field("failed", &self.failed)
            .field("reset", &self.reset)
            .field("cancelled", &self.cancelled)
            .field("unheard", &self.unheard)
            .field("unfinished", &self.unfinished)
            .finish_non_exhaustive()
    }
}

impl Serialize for LayerReport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Mirror<'a> {
            layer: &'a str,
            name: &'a str,
            counts: BTreeMap<String, u64>,
        }
        let counts = self.counts.iter().map(|(kind, count)| (label(kind), *count)).collect();
        Mirror { layer: self.layer, name: &self.name, counts }.serialize(serializer)
    }
}

/// The event in words: those of the metrics, as far as they have one.
pub(super) fn label(kind: &EventKind) -> String {
    match kind {
        EventKind::Queued => "queued".to_owned(),
        EventKind::Admitted { .. } => "admitted".to_owned(),
        EventKind::Settled { class, .. } => format!("settled {}", class.label()),
        EventKind::Abandoned => "abandoned".to_owned(),
        EventKind::Rejected(reason) => format!("rejected {reason}"),
        EventKind::WouldReject(reason) => format!("would reject {reason}"),
        EventKind::Transitioned { from, to } => format!("{from} to {to}"),
        EventKind::LimitChanged { from, to } => format!("limit {from} to {to}"),
        EventKind::LateResult => "late result".to_owned(),
        EventKind::Retried { attempt, .. } => format!("attempt {attempt}"),
        EventKind::Hedged => "hedged".to_owned(),
        EventKind::Withheld(why) => format!("withheld {why}"),
        EventKind::Malformed => "malformed".to_owned(),
        EventKind::Idempotency(result) => format!("idempotency {result}"),
        EventKind::StoreCalled { call, .. } => format!("store {}", call.label()),
    }
}
