//! What is noted while the run lasts: every call's outcome, and the limit.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::script::Arrival;

/// What became of a call, as the load generator saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A 2xx answer, read to its end before the deadline.
    Good,
    /// Turned away by a limit.
    Refused,
    /// Any other answer: the server's timeout.
    Failed,
    /// No answer before the deadline.
    Late,
    /// No connection, or one that broke. That is no server's doing here.
    Broken,
}

/// A call of the load generator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) arrival: Arrival,
    /// From when it was due to its end: a late start counts against the answer.
    pub(crate) latency: Duration,
    pub(crate) outcome: Outcome,
}

/// Everything that was noted about one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) calls: Vec<Call>,
    /// The adaptive limit over time, where there is one.
    pub(crate) limits: Vec<(Duration, usize)>,
    /// The longest that the load generator was behind its schedule.
    pub(crate) lag: Duration,
}

/// Takes notes from every task of one server's run.
#[derive(Debug)]
pub(crate) struct Record {
    start: Instant,
    notes: Mutex<Notes>,
}

impl Record {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, notes: Mutex::default() }
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// The time since the start of the run.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn call(&self, call: Call) {
        self.with(|notes| notes.calls.push(call));
    }

    pub(crate) fn limit(&self, limit: usize) {
        let at = self.now();
        self.with(|notes| notes.limits.push((at, limit)));
    }

    pub(crate) fn lag(&self, lag: Duration) {
        self.with(|notes| notes.lag = notes.lag.max(lag));
    }

    /// Reads or writes the notes; some thousand times a second, so one lock will do.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Notes) -> T) -> T {
        look(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
