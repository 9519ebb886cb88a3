//! The events, and the trait of those who listen.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::classify::Class;
use crate::rejected::Reason;

/// Listens to the events of layers.
///
/// Closures `Fn(&Event<'_>)` are observers, and so is an `Arc` of one.
pub trait Observe: Send + Sync {
    /// Takes note of one event. Called on the thread that drives the call, under no lock.
    fn on_event(&self, event: &Event<'_>);

    /// Called once for each layer that is built with this observer: the place to prepare whatever
    /// belongs to one `(layer, name)`, metric handles for one. Events of that layer then go to
    /// what is returned here, or to `self` where that is `None`.
    fn bind(&self, layer: &'static str, name: &str) -> Option<Arc<dyn Observe>> {
        let _ = (layer, name);
        None
    }

    /// Called once, after [`bind`](Self::bind) and on what it returned, for a layer that limits
    /// concurrency: the limit that it starts with. Later ones come as
    /// [`EventKind::LimitChanged`].
    fn on_limit(&self, limit: usize) {
        let _ = limit;
    }

    /// Called, on what [`bind`](Self::bind) returned, by a layer with a retry budget whenever it
    /// has asked that budget: how many further attempts it would let pass now.
    fn on_budget(&self, tokens: f64) {
        let _ = tokens;
    }

    /// Called once, on what [`bind`](Self::bind) returned, by the idempotency layer of this name
    /// if its records are those of one process, and nobody has said that there is no other.
    fn on_unshared_store(&self, name: &str) {
        let _ = name;
    }

    /// Called, on what [`bind`](Self::bind) returned, by the idempotency layer of this name
    /// whenever its store has failed: the error, which no event and no response shows. For logs.
    fn on_store_error(&self, name: &str, error: &(dyn StdError + 'static)) {
        let _ = (name, error);
    }
}

impl<F> Observe for F
where
    F: Fn(&Event<'_>) + Send + Sync,
{
    fn on_event(&self, event: &Event<'_>) {
        self(event);
    }
}

impl<O> Observe for Arc<O>
where
    O: Observe + ?Sized,
{
    fn on_event(&self, event: &Event<'_>) {
        (**self).on_event(event);
    }

    fn bind(&self, layer: &'static str, name: &str) -> Option<Arc<dyn Observe>> {
        (**self).bind(layer, name)
    }

    fn on_limit(&self, limit: usize) {
        (**self).on_limit(limit);
    }

    fn on_budget(&self, tokens: f64) {
        (**self).on_budget(tokens);
    }

    fn on_unshared_store(&self, name: &str) {
        (**self).on_unshared_store(name);
    }

    fn on_store_error(&self, name: &str, error: &(dyn StdError + 'static)) {
        (**self).on_store_error(name, error);
    }
}

/// Something that happened to a call, or to a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The kind of layer: `"bulkhead"`, `"circuit_breaker"`, `"timeout"` and so on.
    pub layer: &'static str,
    /// The instance: its `.name(..)`, or the kind of layer where it has none.
    pub name: &'a str,
    /// What happened.
    pub kind: EventKind,
    /// Where the call stood up to this event.
    pub stage: Stage,
}

/// Where a call stood when something happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// It had just come. Events that belong to no call are reported with this one.
    Arriving,
    /// It waited in the layer's queue.
    Waiting,
    /// It had been admitted.
    InFlight,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// The call waits for its turn.
    Queued,
    /// The call was let through to the inner service.
    Admitted {
        /// How long it waited in the layer's queue before that; zero without a queue.
        waited: Duration,
    },
    /// The call ended, and was judged.
    Settled {
        /// What its outcome says about the service.
        class: Class,
        /// From admission to the end.
        latency: Duration,
    },
    /// The call was cancelled by its caller, or panicked: it decided nothing.
    Abandoned,
    /// The layer answered the call itself.
    Rejected(Reason),
    /// A layer in shadow mode would have answered the call itself, and let it pass.
    WouldReject(Reason),
    /// A circuit breaker changed its state.
    Transitioned {
        /// The state it left.
        from: Phase,
        /// The state it entered.
        to: Phase,
    },
    /// A concurrency limit changed.
    LimitChanged {
        /// The limit before.
        from: usize,
        /// The limit now.
        to: usize,
    },
    /// A call ended after the state it was admitted in had passed: its outcome decided nothing.
    LateResult,
    /// A further attempt was sent after one that failed.
    Retried {
        /// The number of this attempt: 2 for the first retry.
        attempt: u32,
        /// How long it was held back before.
        delay: Duration,
    },
    /// A second attempt was sent beside one that has not ended.
    Hedged,
    /// No further attempt was made, although the outcome was one that may be tried again.
    Withheld(Withheld),
    /// A header of the request made no sense, and was left out of account.
    Malformed,
    /// What the idempotency layer did about a request.
    Idempotency(IdempotencyResult),
    /// The store of idempotency records has answered, or failed to.
    StoreCalled {
        /// What it was asked.
        call: StoreCall,
        /// How long that took, repetitions included.
        latency: Duration,
    },
}

/// What the idempotency layer did about a request. Several can happen to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdempotencyResult {
    /// It ran, and its outcome is kept.
    Executed,
    /// It had run before: the outcome that was kept is the answer.
    Replayed,
    /// It is running: refused.
    InProgress,
    /// Its key was used for another request: refused.
    Mismatch,
    /// It ran, and its outcome is not final: the next request with its key runs again.
    Released,
    /// It may have taken effect, and what came of it is not known.
    Indeterminate,
    /// It has run, and the answer is not kept, or was not.
    Tombstone,
    /// It runs in place of one whose holder was not heard of for a lease.
    Takeover,
    /// It ran, and had lost its claim before it ended.
    Fenced,
    /// It went past the layer, unprotected.
    Bypass,
    /// It was not fit to be run: no key, no scope, too long, or no room.
    Rejected,
    /// The store failed.
    StoreError,
    /// It ran to its end although its caller had left.
    DetachedFinish,
}

impl IdempotencyResult {
    /// A stable word for it: the `result` label of the metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::Replayed => "replayed",
            Self::InProgress => "in_progress",
            Self::Mismatch => "mismatch",
            Self::Released => "released",
            Self::Indeterminate => "indeterminate",
            Self::Tombstone => "tombstone",
            Self::Takeover => "takeover",
            Self::Fenced => "fenced",
            Self::Bypass => "bypass",
            Self::Rejected => "rejected",
            Self::StoreError => "store_error",
            Self::DetachedFinish => "detached_finish",
        }
    }
}

impl fmt::Display for IdempotencyResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// What a store of idempotency records is asked while a request waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreCall {
    /// For the right to run a request.
    Begin,
    /// To keep an outcome.
    Complete,
}

impl StoreCall {
    /// A stable word for it: the `call` label of the metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Complete => "complete",
        }
    }
}

/// Why no further attempt was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Withheld {
    /// There were as many as there may be.
    Attempts,
    /// The request must not, or can no longer, be sent again.
    Request,
    /// The server said so.
    Stopped,
    /// It would not end before the request's deadline.
    Deadline,
    /// The retry budget is spent.
    Budget,
}

impl Withheld {
    /// A stable word for it: the `outcome` label of the metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Request => "request",
            Self::Stopped => "stopped",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Calls pass, and are judged.
    Closed,
    /// Calls are refused until the open time is over.
    Open,
    /// A few calls pass, to find out whether the service is back.
    HalfOpen,
    /// Calls are refused until the operator says otherwise.
    ForcedOpen,
    /// Calls pass whatever their outcomes, until the operator says otherwise.
    Disabled,
}

impl Phase {
    /// Every state there is.
    pub const ALL: [Self; 5] =
        [Self::Closed, Self::Open, Self::HalfOpen, Self::ForcedOpen, Self::Disabled];

    /// A stable word for it: the `state`, `from` and `to` labels of the metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
