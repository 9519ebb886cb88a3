//! [`TracingObserver`]: the events as `tracing` events.

use std::error::Error as StdError;

use ::tracing::{Instrument, debug, info, info_span, trace, warn};

use crate::observe::event::Phase;
use crate::observe::{Event, EventKind, IdempotencyResult, Observe};

/// Turns events into structured events of [`tracing`](https://docs.rs/tracing), all under the
/// target `buttress`.
///
/// | kind | level | further fields |
/// | --- | --- | --- |
/// | `transitioned` | warn where the circuit opens, else info | `from`, `to` |
/// | `limit_changed` | info | `from`, `to` |
/// | `rejected`, `would_reject` | debug | `reason` |
/// | `retried` | debug | `attempt`, `delay_seconds` |
/// | `withheld` | debug | `reason` |
/// | `idempotency` | warn if `indeterminate`, `fenced` or `store_error`, info if `takeover`, else debug | `result` |
/// | `hedged`, `malformed` | debug | |
/// | `store_called` | trace | `call`, `latency_seconds` |
/// | `queued` | trace | |
/// | `admitted` | trace | `waited_seconds` |
/// | `settled` | trace | `class`, `latency_seconds` |
/// | `abandoned`, `late_result` | trace | |
///
/// What a store of idempotency records fails with is told at warn, with the field `error` and the
/// kind `store_error`; that its records are those of one process alone, once, with the kind
/// `unshared_store`.
///
/// Every event has the fields `kind`, `layer` and `name`. Spans are the caller's: an event is
/// recorded in whichever span the call runs in. The one exception: what runs under an idempotency
/// key, runs in a span `idempotency` of its own, observed or not, with the fields `record` (eight
/// digits of its hash, never the key), `attempt` and `fence`.
///
/// ```
/// use buttress::{bulkhead::BulkheadLayer, observe::TracingObserver};
///
/// let layer = BulkheadLayer::builder(64).name("payments").observe(TracingObserver::new()).build();
/// # let _ = layer;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingObserver;

impl TracingObserver {
    /// An observer that writes to the subscriber in force where each event happens.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

const TARGET: &str = "buttress";

/// One event of ours: its level, its kind, and the fields that only this kind has.
macro_rules! record {
    ($level:ident, $event:expr, $kind:literal $($field:tt)*) => {
        $level!(target: TARGET, kind = $kind, layer = $event.layer, name = $event.name $($field)*)
    };
}

impl Observe for TracingObserver {
    fn on_event(&self, event: &Event<'_>) {
        match event.kind {
            EventKind::Transitioned { from, to } => transitioned(event, from, to),
            EventKind::LimitChanged { from, to } => {
                record!(info, event, "limit_changed", from, to);
            }
            EventKind::Rejected(reason) => {
                record!(debug, event, "rejected", reason = reason.code());
            }
            EventKind::WouldReject(reason) => {
                record!(debug, event, "would_reject", reason = reason.code());
            }
            EventKind::Retried { attempt, delay } => {
                record!(debug, event, "retried", attempt, delay_seconds = delay.as_secs_f64());
            }
            EventKind::Withheld(why) => record!(debug, event, "withheld", reason = why.label()),
            EventKind::Idempotency(result) => idempotency(event, result),
            EventKind::StoreCalled { call, latency } => record!(
                trace,
                event,
                "store_called",
                call = call.label(),
                latency_seconds = latency.as_secs_f64()
            ),
            EventKind::Hedged => record!(debug, event, "hedged"),
            EventKind::Malformed => record!(debug, event, "malformed"),
            EventKind::Queued => record!(trace, event, "queued"),
            EventKind::Admitted { waited } => {
                record!(trace, event, "admitted", waited_seconds = waited.as_secs_f64());
            }
            EventKind::Settled { class, latency } => record!(
                trace,
                event,
                "settled",
                class = class.label(),
                latency_seconds = latency.as_secs_f64()
            ),
            EventKind::Abandoned => record!(trace, event, "abandoned"),
            EventKind::LateResult => record!(trace, event, "late_result"),
        }
    }

    fn on_unshared_store(&self, name: &str) {
        warn!(
            target: TARGET,
            kind = "unshared_store",
            layer = "idempotency",
            name,
            "records of idempotency keys are kept in this process alone"
        );
    }

    fn on_store_error(&self, name: &str, error: &(dyn StdError + 'static)) {
        warn!(target: TARGET, kind = "store_error", layer = "idempotency", name, error);
    }
}

fn transitioned(event: &Event<'_>, from: Phase, to: Phase) {
    let (from, now) = (from.label(), to.label());
    if matches!(to, Phase::Open | Phase::ForcedOpen) {
        record!(warn, event, "transitioned", from, to = now);
    } else {
        record!(info, event, "transitioned", from, to = now);
    }
}

fn idempotency(event: &Event<'_>, result: IdempotencyResult) {
    use IdempotencyResult::{Fenced, Indeterminate, StoreError, Takeover};
    let label = result.label();
    match result {
        Indeterminate | Fenced | StoreError => record!(warn, event, "idempotency", result = label),
        Takeover => record!(info, event, "idempotency", result = label),
        _ => record!(debug, event, "idempotency", result = label),
    }
}

/// The future, in the span of whoever makes it: for a task that goes on without its caller.
pub(crate) fn in_current_span<F: Future>(future: F) -> impl Future<Output = F::Output> {
    future.in_current_span()
}

/// The future, in a span that says under which claim it runs. Of the record's key the first bytes:
/// enough to find it, and too few to guess by.
pub(crate) fn in_span_of_claim<F: Future>(
    record: [u8; 4],
    attempt: u32,
    fence: u64,
    future: F,
) -> impl Future<Output = F::Output> {
    let record = u32::from_be_bytes(record);
    let record = format_args!("{record:08x}");
    future.instrument(info_span!(target: TARGET, "idempotency", record, attempt, fence))
}
