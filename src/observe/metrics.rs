//! [`MetricsObserver`]: the events as metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use ::metrics::{
    Counter, Gauge, Histogram, Label, Unit, describe_counter, describe_gauge, describe_histogram,
};

use crate::classify::Class;
use crate::observe::event::Phase;
use crate::observe::family::Family;
use crate::observe::{Event, EventKind, Observe, Stage, StoreCall};
use crate::rejected::Reason;
use crate::sync::{Mutex, lock};

mod names;

use names::{
    ABANDONED, BUDGET, CALLS, IDEMPOTENCY, IN_FLIGHT, LATE_RESULTS, LATENCY, LIMIT, MALFORMED,
    QUEUE, QUEUED, REJECTIONS, RETRIES, STATE, STORE, TRANSITIONS, WOULD_REJECT,
};

/// Turns events into metrics of the [`metrics`](https://docs.rs/metrics) facade, for whichever
/// exporter the program has installed.
///
/// | metric | kind | labels |
/// | --- | --- | --- |
/// | `buttress_calls_total` | counter | `layer`, `name`, `class` |
/// | `buttress_rejections_total` | counter | `layer`, `name`, `reason` |
/// | `buttress_would_reject_total` | counter | `layer`, `name`, `reason` |
/// | `buttress_abandoned_total` | counter | `layer`, `name` |
/// | `buttress_late_results_total` | counter | `layer`, `name` |
/// | `buttress_transitions_total` | counter | `name`, `from`, `to` |
/// | `buttress_retries_total` | counter; `outcome` is `retried`, `hedged`, or why not: `attempts`, `request`, `stopped`, `deadline`, `budget` | `name`, `outcome` |
/// | `buttress_idempotency_total` | counter; `result` as in [`IdempotencyResult`](crate::observe::IdempotencyResult) | `name`, `result` |
/// | `buttress_malformed_total` | counter, of headers | `layer`, `name` |
/// | `buttress_latency_seconds` | histogram | `layer`, `name` |
/// | `buttress_queue_seconds` | histogram, of the calls that waited | `layer`, `name` |
/// | `buttress_store_seconds` | histogram, of idempotency records: `begin`, `complete` | `name`, `call` |
/// | `buttress_in_flight` | gauge | `layer`, `name` |
/// | `buttress_queued` | gauge | `layer`, `name` |
/// | `buttress_limit` | gauge | `layer`, `name` |
/// | `buttress_budget_tokens` | gauge, as of the last time the budget was asked | `name` |
/// | `buttress_breaker_state` | gauge, 1 for the present state and 0 for the others | `name`, `state` |
///
/// ```
/// use buttress::{bulkhead::BulkheadLayer, observe::MetricsObserver};
///
/// let metrics = MetricsObserver::new();
/// MetricsObserver::describe();
/// let layer = BulkheadLayer::builder(64).name("payments").observe(metrics.clone()).build();
/// # let _ = layer;
/// ```
///
/// A metric is registered by the first event that needs it, so a recorder may be installed after
/// the layers were built, but must be there before the first call. From then on an event hashes
/// and allocates nothing. Clones share their handles.
///
/// Layers of one kind and name add up in one series. Two circuit breakers need two names: a state
/// has no sum.
#[derive(Clone, Default)]
pub struct MetricsObserver {
    /// By layer and name. The lock is taken when a layer is built, never by its events.
    handles: Arc<Mutex<BTreeMap<&'static str, Instances>>>,
}

type Instances = BTreeMap<Box<str>, Arc<Handles>>;

impl MetricsObserver {
    /// An observer that has registered nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers unit and help text of every metric with the installed recorder. Optional.
    pub fn describe() {
        describe_counter!(CALLS, Unit::Count, "Calls that ended, by what their outcome says.");
        describe_counter!(REJECTIONS, Unit::Count, "Calls that the layer answered itself.");
        describe_counter!(
            WOULD_REJECT,
            Unit::Count,
            "Calls that a layer in shadow mode would have refused, and let pass."
        );
        describe_counter!(ABANDONED, Unit::Count, "Calls that were cancelled or panicked.");
        describe_counter!(
            LATE_RESULTS,
            Unit::Count,
            "Results that came after the state they were admitted in had passed."
        );
        describe_counter!(TRANSITIONS, Unit::Count, "Changes of a circuit breaker's state.");
        describe_counter!(
            RETRIES,
            Unit::Count,
            "Further attempts that were sent, and those that were withheld."
        );
        describe_counter!(IDEMPOTENCY, Unit::Count, "Requests by what was done about them.");
        describe_histogram!(STORE, Unit::Seconds, "Answers of the store of idempotency records.");
        describe_counter!(MALFORMED, Unit::Count, "Headers that made no sense.");
        describe_histogram!(LATENCY, Unit::Seconds, "From admission to the end of a call.");
        describe_histogram!(QUEUE, Unit::Seconds, "Wait in the layer's queue, where it waited.");
        describe_gauge!(IN_FLIGHT, Unit::Count, "Calls that are admitted and have not ended.");
        describe_gauge!(QUEUED, Unit::Count, "Calls that wait in the layer's queue.");
        describe_gauge!(LIMIT, Unit::Count, "The concurrency limit.");
        describe_gauge!(BUDGET, Unit::Count, "Further attempts that the budget would let pass.");
        describe_gauge!(STATE, Unit::Count, "1 for the circuit breaker's present state, else 0.");
    }

    fn handles(&self, layer: &'static str, name: &str) -> Arc<Handles> {
        let mut layers = lock(&self.handles);
        let instances = layers.entry(layer).or_default();
        if let Some(known) = instances.get(name) {
            return known.clone();
        }
        let handles = Arc::new(Handles::new(layer, name));
        instances.insert(name.into(), handles.clone());
        handles
    }
}

impl Observe for MetricsObserver {
    // Only for events that come past `bind`, out of an observer that wraps this one.
    fn on_event(&self, event: &Event<'_>) {
        self.handles(event.layer, event.name).on_event(event);
    }

    fn bind(&self, layer: &'static str, name: &str) -> Option<Arc<dyn Observe>> {
        Some(self.handles(layer, name))
    }
}

impl fmt::Debug for MetricsObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsObserver")
    }
}

/// The metrics of one layer and name.
struct Handles {
    layer: &'static str,
    registered: Once,
    name: Label,
    calls: Family<Discriminant<Class>, 5>,
    rejections: Family<Reason, 16>,
    would_reject: Family<Reason, 16>,
    transitions: Family<(Phase, Phase), 20>,
    retries: Family<&'static str, 8>,
    idempotency: Family<&'static str, 13>,
    begin: OnceLock<Histogram>,
    complete: OnceLock<Histogram>,
    malformed: OnceLock<Counter>,
    budget: OnceLock<Gauge>,
    abandoned: OnceLock<Counter>,
    late_results: OnceLock<Counter>,
    latency: OnceLock<Histogram>,
    queue: OnceLock<Histogram>,
    in_flight: OnceLock<Gauge>,
    queued: OnceLock<Gauge>,
    /// The limit that the layer starts with, until the first event shows it.
    first_limit: OnceLock<usize>,
    limit: OnceLock<Gauge>,
    states: OnceLock<[Gauge; Phase::ALL.len()]>,
}

impl Handles {
    fn new(layer: &'static str, name: &str) -> Self {
        Self {
            layer,
            registered: Once::new(),
            name: Label::new("name", name.to_owned()),
            calls: Family::default(),
            rejections: Family::default(),
            would_reject: Family::default(),
            transitions: Family::default(),
            retries: Family::default(),
            idempotency: Family::default(),
            begin: OnceLock::new(),
            complete: OnceLock::new(),
            malformed: OnceLock::new(),
            budget: OnceLock::new(),
            abandoned: OnceLock::new(),
            late_results: OnceLock::new(),
            latency: OnceLock::new(),
            queue: OnceLock::new(),
            in_flight: OnceLock::new(),
            queued: OnceLock::new(),
            first_limit: OnceLock::new(),
            limit: OnceLock::new(),
            states: OnceLock::new(),
        }
    }

    fn labels(&self) -> Vec<Label> {
        vec![Label::from_static_parts("layer", self.layer), self.name.clone()]
    }

    fn labels_and(&self, key: &'static str, value: &'static str) -> Vec<Label> {
        let mut labels = self.labels();
        labels.push(Label::from_static_parts(key, value));
        labels
    }

    fn settled(&self, class: Class, latency: Duration) {
        let make = |_| ::metrics::counter!(CALLS, self.labels_and("class", class.label()));
        self.calls.increment(discriminant(&class), make);
        self.latency
            .get_or_init(|| ::metrics::histogram!(LATENCY, self.labels()))
            .record(latency.as_secs_f64());
    }

    fn rejected(&self, reason: Reason) {
        let make = |reason: Reason| {
            ::metrics::counter!(REJECTIONS, self.labels_and("reason", reason.code()))
        };
        self.rejections.increment(reason, make);
    }

    fn would_reject(&self, reason: Reason) {
        let make = |reason: Reason| {
            ::metrics::counter!(WOULD_REJECT, self.labels_and("reason", reason.code()))
        };
        self.would_reject.increment(reason, make);
    }

    fn retried(&self, outcome: &'static str) {
        let make = |outcome| {
            let outcome = Label::from_static_parts("outcome", outcome);
            ::metrics::counter!(RETRIES, vec![self.name.clone(), outcome])
        };
        self.retries.increment(outcome, make);
    }

    fn idempotency(&self, result: &'static str) {
        let make = |result| {
            let result = Label::from_static_parts("result", result);
            ::metrics::counter!(IDEMPOTENCY, vec![self.name.clone(), result])
        };
        self.idempotency.increment(result, make);
    }

    fn store_called(&self, call: StoreCall, latency: Duration) {
        let histogram = match call {
            StoreCall::Begin => &self.begin,
            StoreCall::Complete => &self.complete,
        };
        let label = Label::from_static_parts("call", call.label());
        histogram
            .get_or_init(|| ::metrics::histogram!(STORE, vec![self.name.clone(), label]))
            .record(latency.as_secs_f64());
    }

    fn transitioned(&self, from: Phase, to: Phase) {
        let make = |(from, to): (Phase, Phase)| {
            let from = Label::from_static_parts("from", from.label());
            let to = Label::from_static_parts("to", to.label());
            ::metrics::counter!(TRANSITIONS, vec![self.name.clone(), from, to])
        };
        self.transitions.increment((from, to), make);
        set_state(self.states(), to);
    }

    /// What there is to see of a layer before anything changes.
    #[cold]
    fn register(&self) {
        if self.layer == BREAKER {
            self.states();
        }
        if let Some(&limit) = self.first_limit.get() {
            self.limit(limit);
        }
    }

    /// Registered together, and with the state that every breaker starts in, so that no event on
    /// another thread can find them half made.
    fn states(&self) -> &[Gauge; Phase::ALL.len()] {
        self.states.get_or_init(|| {
            let gauges = Phase::ALL.map(|phase| {
                let state = Label::from_static_parts("state", phase.label());
                ::metrics::gauge!(STATE, vec![self.name.clone(), state])
            });
            set_state(&gauges, Phase::Closed);
            gauges
        })
    }

    fn limit(&self, first: usize) -> &Gauge {
        self.limit.get_or_init(|| {
            let gauge = ::metrics::gauge!(LIMIT, self.labels());
            gauge.set(as_f64(first));
            gauge
        })
    }

    fn in_flight(&self) -> &Gauge {
        self.in_flight.get_or_init(|| ::metrics::gauge!(IN_FLIGHT, self.labels()))
    }

    fn queued(&self) -> &Gauge {
        self.queued.get_or_init(|| ::metrics::gauge!(QUEUED, self.labels()))
    }

    /// Takes the call out of the gauge that its stage had put it in.
    fn leave(&self, stage: Stage) {
        match stage {
            Stage::Arriving => {}
            Stage::Waiting => self.queued().decrement(1.0),
            Stage::InFlight => self.in_flight().decrement(1.0),
        }
    }
}

impl Observe for Handles {
    fn on_event(&self, event: &Event<'_>) {
        self.registered.call_once(|| self.register());
        match event.kind {
            EventKind::Queued => self.queued().increment(1.0),
            EventKind::Admitted { waited } => {
                self.in_flight().increment(1.0);
                if event.stage == Stage::Waiting {
                    self.leave(Stage::Waiting);
                    self.queue
                        .get_or_init(|| ::metrics::histogram!(QUEUE, self.labels()))
                        .record(waited.as_secs_f64());
                }
            }
            EventKind::Settled { class, latency } => {
                self.leave(Stage::InFlight);
                self.settled(class, latency);
            }
            EventKind::LateResult => {
                self.leave(Stage::InFlight);
                self.late_results
                    .get_or_init(|| ::metrics::counter!(LATE_RESULTS, self.labels()))
                    .increment(1);
            }
            EventKind::Abandoned => {
                self.leave(event.stage);
                self.abandoned
                    .get_or_init(|| ::metrics::counter!(ABANDONED, self.labels()))
                    .increment(1);
            }
            EventKind::Rejected(reason) => {
                self.leave(event.stage);
                self.rejected(reason);
            }
            EventKind::WouldReject(reason) => self.would_reject(reason),
            EventKind::Retried { .. } => self.retried("retried"),
            EventKind::Hedged => self.retried("hedged"),
            EventKind::Withheld(why) => self.retried(why.label()),
            EventKind::Idempotency(result) => {
                // A request that waited for another ends so.
                if event.stage == Stage::Waiting {
                    self.leave(Stage::Waiting);
                }
                self.idempotency(result.label());
            }
            EventKind::StoreCalled { call, latency } => self.store_called(call, latency),
            EventKind::Malformed => self
                .malformed
                .get_or_init(|| ::metrics::counter!(MALFORMED, self.labels()))
                .increment(1),
            EventKind::Transitioned { from, to } => self.transitioned(from, to),
            EventKind::LimitChanged { from, to } => self.limit(from).set(as_f64(to)),
        }
    }

    fn on_limit(&self, limit: usize) {
        let _ = self.first_limit.set(limit);
    }

    fn on_budget(&self, tokens: f64) {
        self.budget.get_or_init(|| ::metrics::gauge!(BUDGET, vec![self.name.clone()])).set(tokens);
    }
}

#[allow(clippy::cast_precision_loss)]
fn as_f64(limit: usize) -> f64 {
    limit as f64
}

/// The layer whose state is known before it first changes.
const BREAKER: &str = "circuit_breaker";

fn set_state(gauges: &[Gauge; Phase::ALL.len()], now: Phase) {
    for (gauge, phase) in gauges.iter().zip(Phase::ALL) {
        gauge.set(if phase == now { 1.0 } else { 0.0 });
    }
}

#[cfg(test)]
mod tests;
