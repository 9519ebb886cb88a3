//! The report as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{ClientReport, Incident, LayerReport, Report, ServerReport, Trigger, Violation};
use crate::serde::duration;

impl Report {
    /// The report as JSON, on one line: its fields, the figures that follow from them, and the
    /// series over time. Durations are text with a unit, and so is a seed or hash, in hex: 64 bits
    /// are more than the numbers of many JSON readers hold.
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "it does not")]
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("all keys are text")
    }
}

/// As in [`Report::json`].
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Document::of(self).serialize(serializer)
    }
}

#[derive(Serialize)]
struct Document<'a> {
    seed: String,
    trace_hash: String,
    events: u64,
    sound: bool,
    conserved: bool,
    violation: &'a Option<Violation>,
    leaks: &'a BTreeMap<String, usize>,
    #[serde(with = "duration")]
    ran_for: Duration,
    trigger: Option<Trigger>,
    incidents: &'a [Incident],
    offered: u64,
    good: u64,
    goodput: f64,
    goodput_of_oracle: f64,
    #[serde(with = "duration::optional")]
    recovered_after: Option<Duration>,
    #[serde(with = "duration")]
    no_load: Duration,
    rejections: BTreeMap<&'static str, u64>,
    clients: BTreeMap<&'a str, Client<'a>>,
    servers: BTreeMap<&'a str, Server<'a>>,
    layers: &'a [LayerReport],
    sometimes: &'a BTreeMap<String, u64>,
    /// How many requests an oracle could have answered of those of each moment.
    oracle: Vec<f64>,
}

#[derive(Serialize)]
struct Client<'a> {
    #[serde(flatten)]
    counts: &'a ClientReport,
    latency: Latency,
    slowdown: Slowdown,
    series: ClientSeries,
}

#[derive(Serialize)]
struct Latency {
    #[serde(with = "duration")]
    p50: Duration,
    #[serde(with = "duration")]
    p99: Duration,
    #[serde(rename = "p99.9", with = "duration")]
    p999: Duration,
}

/// The same in units of what a request takes that meets nobody.
#[derive(Serialize)]
struct Slowdown {
    p50: f64,
    p99: f64,
    #[serde(rename = "p99.9")]
    p999: f64,
}

/// A column for each count; one entry for each `step`.
#[derive(Serialize)]
struct ClientSeries {
    #[serde(with = "duration")]
    step: Duration,
    offered: Vec<u64>,
    good: Vec<u64>,
    refused: Vec<u64>,
}

#[derive(Serialize)]
struct Server<'a> {
    #[serde(flatten)]
    counts: &'a ServerReport,
    amplification: f64,
    series: ServerSeries,
}

#[derive(Serialize)]
struct ServerSeries {
    #[serde(with = "duration")]
    step: Duration,
    sent: Vec<u64>,
    completed: Vec<u64>,
    busy: Vec<u32>,
    waiting: Vec<u64>,
    capacity: Vec<f64>,
}

impl<'a> Document<'a> {
    fn of(report: &'a Report) -> Self {
        let clients = report.clients.iter();
        let servers = report.servers.iter();
        Self {
            seed: format!("{:#x}", report.seed),
            trace_hash: format!("{:#018x}", report.trace_hash),
            events: report.events,
            sound: report.sound().is_ok(),
            conserved: report.is_conserved(),
            violation: &report.violation,
            leaks: &report.leaks,
            ran_for: report.ran_for,
            trigger: report.trigger,
            incidents: &report.incidents,
            offered: report.offered(),
            good: report.good(),
            goodput: report.goodput(),
            goodput_of_oracle: report.goodput_of_oracle(),
            recovered_after: report.recovered_after(),
            no_load: report.no_load,
            rejections: report.rejections(),
            clients: clients.map(|(name, of)| (name.as_str(), Client::of(of, report))).collect(),
            servers: servers
                .map(|(name, of)| (name.as_str(), Server::of(of, report.amplification(name))))
                .collect(),
            layers: &report.layers,
            sometimes: &report.sometimes,
            oracle: report.oracle(),
        }
    }
}

impl<'a> Client<'a> {
    fn of(counts: &'a ClientReport, report: &Report) -> Self {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| counts.latency(share));
        let latency = Latency { p50, p99, p999 };
        let [p50, p99, p999] = [p50, p99, p999].map(|latency| report.in_no_loads(latency));
        let slowdown = Slowdown { p50, p99, p999 };
        Self { counts, latency, slowdown, series: ClientSeries::of(counts) }
    }
}

impl ClientSeries {
    fn of(counts: &ClientReport) -> Self {
        let moments = &counts.moments;
        Self {
            step: counts.step,
            offered: column(moments, |moment| moment.offered),
            good: column(moments, |moment| moment.good),
            refused: column(moments, |moment| moment.refused),
        }
    }
}

impl<'a> Server<'a> {
    fn of(counts: &'a ServerReport, amplification: f64) -> Self {
        Self { counts, amplification, series: ServerSeries::of(counts) }
    }
}

impl ServerSeries {
    fn of(counts: &ServerReport) -> Self {
        let moments = &counts.moments;
        Self {
            step: counts.step,
            sent: column(moments, |moment| moment.sent),
            completed: column(moments, |moment| moment.completed),
            busy: column(moments, |moment| moment.busy),
            waiting: column(moments, |moment| moment.waiting),
            capacity: column(moments, |moment| moment.capacity),
        }
    }
}

fn column<M, T>(moments: &[M], of: impl Fn(&M) -> T) -> Vec<T> {
    moments.iter().map(of).collect()
}
