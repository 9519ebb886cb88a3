//! What is noted while the run lasts: every call's outcome, every call that reached a service.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::orders::table::Row;
use crate::script::Route;

/// What became of a call, as the load generator saw it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// A 2xx answer, read to its end before the deadline.
    Good,
    /// A refusal of a layer: the code in the answer's `buttress-refusal` header.
    Refused(String),
    /// Any other answer.
    Failed,
    /// No answer before the deadline.
    Late,
}

/// A call of the load generator.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) route: Route,
    /// When it was due, from the start of the run.
    pub(crate) at: Duration,
    /// From when it was due to its end: a late start counts against the answer.
    pub(crate) latency: Duration,
    pub(crate) outcome: Outcome,
}

/// A call that reached the service behind a route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    pub(crate) route: Route,
    pub(crate) at: Duration,
}

/// How it looked at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    /// The workers of the storefront that were busy.
    pub(crate) workers: usize,
    /// The calls that stood in line at payments.
    pub(crate) in_line: usize,
}

/// Everything that was noted about one storefront.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) calls: Vec<Call>,
    pub(crate) reached: Vec<Reached>,
    pub(crate) samples: Vec<Sample>,
    /// Of the table of orders, at the end.
    pub(crate) rows: Vec<Row>,
    /// The longest that the load generator was behind its schedule.
    pub(crate) lag: Duration,
}

/// Takes notes from every task of one storefront's run.
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

    pub(crate) fn reached(&self, route: Route) {
        let at = self.now();
        self.with(|notes| notes.reached.push(Reached { route, at }));
    }

    pub(crate) fn sample(&self, workers: usize, in_line: usize) {
        let at = self.now();
        self.with(|notes| notes.samples.push(Sample { at, workers, in_line }));
    }

    pub(crate) fn lag(&self, lag: Duration) {
        self.with(|notes| notes.lag = notes.lag.max(lag));
    }

    /// Reads or writes the notes; a few hundred times a second, so one lock will do.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Notes) -> T) -> T {
        look(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
