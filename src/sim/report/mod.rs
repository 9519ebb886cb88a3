//! What a run came to.

mod json;
mod parts;
mod reckoning;
mod svg;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

pub use parts::{ClientMoment, ClientReport, LayerReport, ServerMoment, ServerReport};

use crate::observe::EventKind;
use crate::serde::duration;

/// What a run came to: for people as text by `Display` and as a picture by [`svg`](Self::svg), for
/// programs as [`json`](Self::json).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The seed of the run.
    pub seed: u64,
    /// The hash of everything that happened, and when. The same for the same plan, stack and seed.
    pub trace_hash: u64,
    /// How many events the trace has.
    pub events: u64,
    /// How long clients sent.
    pub ran_for: Duration,
    /// The resolution of what is kept over time: 100 ms, and more where the run is longer than an
    /// hour.
    pub moment: Duration,
    /// From the begin of the first fault or spike to the end of the last.
    pub trigger: Option<Trigger>,
    /// Each fault and spike, by its begin.
    pub incidents: Vec<Incident>,
    /// How long a request takes that meets nobody: the unit of [`slowdown`](Self::slowdown).
    pub no_load: Duration,
    /// What clients got, by the name of their group.
    pub clients: BTreeMap<String, ClientReport>,
    /// What servers did, by name.
    pub servers: BTreeMap<String, ServerReport>,
    /// The events of the layers that report to the run, in the order of their first.
    pub layers: Vec<LayerReport>,
    /// How often what must happen sometimes did.
    pub sometimes: BTreeMap<String, u64>,
    /// What must be 0 at the end and is not.
    pub leaks: BTreeMap<String, usize>,
    /// The invariant that was broken, if one was. It ended the run.
    pub violation: Option<Violation>,
}

/// The time of faults and spikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Trigger {
    /// When the first begins.
    #[serde(with = "duration")]
    pub from: Duration,
    /// When the last ends.
    #[serde(with = "duration")]
    pub until: Duration,
}

/// A fault or a spike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Incident {
    /// Whom it befalls, and what it is, in words.
    pub what: String,
    /// When it begins.
    #[serde(with = "duration")]
    pub from: Duration,
    /// When it ends.
    #[serde(with = "duration")]
    pub until: Duration,
}

/// An invariant that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Violation {
    /// Its name.
    pub invariant: String,
    /// The number of the event after which it was broken, from 1.
    pub event: u64,
    /// When that was.
    #[serde(with = "duration")]
    pub at: Duration,
    /// What it says.
    pub detail: String,
}

impl Report {
    /// All requests.
    #[must_use]
    pub fn offered(&self) -> u64 {
        self.clients.values().map(|client| client.offered).sum()
    }

    /// The requests that were answered inside their deadline.
    #[must_use]
    pub fn good(&self) -> u64 {
        self.clients.values().map(|client| client.good).sum()
    }

    /// The share of the requests that were answered inside their deadline, 0 to 1; 1 if there were
    /// none.
    #[must_use]
    pub fn goodput(&self) -> f64 {
        share(self.good(), self.offered())
    }

    /// The same, of the requests that were sent from `from` to `until`, in steps of
    /// a [`moment`](Self::moment).
    #[must_use]
    pub fn goodput_between(&self, from: Duration, until: Duration) -> f64 {
        let (from, until) = (index(from, self.moment), index(until, self.moment));
        let moments = self.clients.values().map(|client| between(&client.moments, from, until));
        let (good, offered) = moments
            .flatten()
            .fold((0, 0), |(good, offered), moment| (good + moment.good, offered + moment.offered));
        share(good, offered)
    }

    /// Attempts that were sent to a server, for each request that was offered.
    ///
    /// # Panics
    ///
    /// If there is no server of that name.
    #[must_use]
    pub fn amplification(&self, server: &str) -> f64 {
        let server = self.servers.get(server).unwrap_or_else(|| panic!("no server {server:?}"));
        #[allow(clippy::cast_precision_loss)]
        let ratio = server.sent as f64 / self.offered().max(1) as f64;
        ratio
    }

    /// The latency that this share of the good requests, 0 to 1, did not exceed; zero if there were
    /// none.
    #[must_use]
    pub fn latency(&self, share: f64) -> Duration {
        let mut all: Vec<_> =
            self.clients.values().flat_map(|client| &client.latencies).copied().collect();
        all.sort_unstable();
        percentile(&all, share)
    }

    /// [`latency`](Self::latency) in units of what a request takes that meets nobody.
    #[must_use]
    pub fn slowdown(&self, share: f64) -> f64 {
        self.in_no_loads(self.latency(share))
    }

    fn in_no_loads(&self, latency: Duration) -> f64 {
        latency.as_secs_f64() / self.no_load.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// How many requests the layers refused, by reason.
    #[must_use]
    pub fn rejections(&self) -> BTreeMap<&'static str, u64> {
        let mut sum = BTreeMap::new();
        for (reason, count) in self.clients.values().flat_map(|client| &client.refused) {
            *sum.entry(*reason).or_default() += count;
        }
        sum
    }

    /// How often a layer, by its name, reported events of which `what` is true.
    #[must_use]
    pub fn events_of(&self, name: &str, what: impl Fn(&EventKind) -> bool) -> u64 {
        let layers = self.layers.iter().filter(|layer| layer.name == name);
        let counts = layers.flat_map(|layer| &layer.counts).filter(|(kind, _)| what(kind));
        counts.map(|(_, count)| count).sum()
    }

    /// Whether each request ended exactly once, for its client and at each server.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        self.clients.values().all(|client| client.ended() + client.unfinished == client.offered)
            && self.servers.values().all(ServerReport::is_conserved)
    }

    /// What is wrong with the run, whatever its plan: an invariant that was broken, a request that
    /// was lost or ended twice, a panic, something that was not given back.
    ///
    /// # Errors
    ///
    /// The first of these, in words.
    pub fn sound(&self) -> Result<(), String> {
        if let Some(violation) = &self.violation {
            return Err(violation.to_string());
        }
        if !self.is_conserved() {
            return Err("conservation: a request did not end exactly once".to_owned());
        }
        if let Some((name, client)) = self.clients.iter().find(|(_, client)| client.panicked > 0) {
            return Err(format!("panic: {} requests of {name:?} panicked", client.panicked));
        }
        match self.leaks.iter().next() {
            Some((name, left)) => Err(format!("leak: {name}: {left} left at the end, not 0")),
            None => Ok(()),
        }
    }
}

impl Violation {
    pub(in crate::sim) fn new(invariant: &str, event: u64, at: Duration, detail: String) -> Self {
        Self { invariant: invariant.to_owned(), event, at, detail }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, event, at, detail } = self;
        write!(f, "invariant {invariant:?}: {detail}, after event {event}, at {at:?}")
    }
}

/// The entry of that index, and those before it.
fn moment<M: Clone + Default>(moments: &mut Vec<M>, index: usize) -> &mut M {
    if moments.len() <= index {
        moments.resize(index + 1, M::default());
    }
    &mut moments[index]
}

fn index(at: Duration, step: Duration) -> usize {
    usize::try_from(at.as_nanos() / step.as_nanos().max(1)).unwrap_or(usize::MAX)
}

fn between<M>(moments: &[M], from: usize, until: usize) -> &[M] {
    let end = until.min(moments.len());
    &moments[from.min(end)..end]
}

#[allow(clippy::cast_precision_loss)]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// The nearest rank.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn percentile(sorted: &[u64], share: f64) -> Duration {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let found = sorted.get(rank.clamp(1, sorted.len().max(1)) - 1);
    Duration::from_nanos(found.copied().unwrap_or(0))
}
