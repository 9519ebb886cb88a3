//! [`Handle`]: a circuit from outside, and [`Snapshot`], what it looks like.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::circuit_breaker::Phase;
use crate::circuit_breaker::circuit::Circuit;
use crate::classify::Class;
use crate::pinned::Pinned;

/// Reads and steers a circuit while it is at work. Cheap to clone; keeps no service alive.
///
/// What an operator sets with [`force_open`](Self::force_open) or [`disable`](Self::disable)
/// stays until the operator says otherwise: no timer and no outcome leaves it.
#[derive(Clone)]
pub struct Handle {
    circuit: Arc<Circuit>,
}

impl Handle {
    pub(super) fn new(circuit: Arc<Circuit>) -> Self {
        Self { circuit }
    }

    /// The state, by one atomic load. An open time that is over shows as [`Phase::Open`] until the
    /// next call finds it half open.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.circuit.phase()
    }

    /// Refuses every call until [`auto`](Self::auto) or [`reset`](Self::reset). The refusals carry
    /// no `retry_after`. The reason is for the [`Snapshot`].
    pub fn force_open(&self, because: impl Into<String>) {
        self.circuit.force_open(because.into());
    }

    /// Lets every call pass, and still counts, until [`auto`](Self::auto) or
    /// [`reset`](Self::reset).
    pub fn disable(&self) {
        self.circuit.disable();
    }

    /// Ends [`force_open`](Self::force_open) or [`disable`](Self::disable): the circuit is closed
    /// and decides for itself again. Does nothing in any other state.
    pub fn auto(&self) {
        self.circuit.auto();
    }

    /// Back to the beginning, from any state: closed, with nothing counted and no opening
    /// remembered. The results of calls that are out decide nothing.
    pub fn reset(&self) {
        self.circuit.reset();
    }

    /// What the circuit looks like now, with everything that has left the window taken out.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.circuit.snapshot()
    }

    /// Takes over the state in which another instance left off, so that a rolling deployment need
    /// not learn of an outage anew. The window starts empty. An open time is cut to this circuit's
    /// own maximum; a half-open circuit starts with its probes still to be sent.
    pub fn hydrate(&self, snapshot: &Snapshot) {
        self.circuit.hydrate(snapshot);
    }
}

/// What a circuit that is not closed knows, no other would know soon.
impl Pinned for Circuit {
    fn is_pinned(&self) -> bool {
        self.phase() != Phase::Closed
    }
}

impl Pinned for Handle {
    fn is_pinned(&self) -> bool {
        self.circuit.is_pinned()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("phase", &self.phase()).finish()
    }
}

/// A circuit at one moment. Holds durations and no instants, so it can be stored and sent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The state.
    pub phase: Phase,
    /// For how long it has been in this state.
    pub since: Duration,
    /// How much of the open time is left, while open.
    pub until: Option<Duration>,
    /// Openings in a row, without a stable close between them.
    pub openings: u32,
    /// Calls in the window. Kept only where a rate is watched or calls are counted: a circuit that
    /// trips on consecutive failures alone over a time window records nothing while all is well.
    pub calls: u64,
    /// Failed calls in the window.
    pub failed: u64,
    /// Slow calls in the window.
    pub slow: u64,
    /// `failed / calls`; 0 without calls.
    pub failure_rate: f64,
    /// `slow / calls`; 0 without calls.
    pub slow_rate: f64,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// The class of the last failure.
    pub last_failure: Option<Class>,
    /// What [`Handle::force_open`] gave as the reason, while forced open.
    pub forced_because: Option<String>,
}
