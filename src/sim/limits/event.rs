//! [`Agenda`]: what comes next, and when.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

/// All that will happen before the end, earliest first; of two at once, what was entered first.
/// Times are in nanoseconds.
pub(super) struct Agenda {
    events: BinaryHeap<Reverse<Event>>,
    entered: u64,
    end: f64,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    at: f64,
    order: u64,
    what: What,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A caller asks.
    Ask(usize),
    /// A request reaches the server.
    Reach(u32),
    /// An answer reaches its caller.
    Answer(u32, Reply),
    /// Faults begin or end.
    Change,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reply {
    Good,
    Overloaded,
    Failed,
}

impl Agenda {
    pub(super) fn new(end: f64) -> Self {
        Self { events: BinaryHeap::new(), entered: 0, end }
    }

    pub(super) fn enter(&mut self, at: f64, what: What) {
        self.entered += 1;
        if at < self.end {
            self.events.push(Reverse(Event { at, order: self.entered, what }));
        }
    }

    /// When the next is.
    pub(super) fn next(&self) -> Option<f64> {
        self.events.peek().map(|Reverse(event)| event.at)
    }

    pub(super) fn pop(&mut self) -> Option<What> {
        self.events.pop().map(|Reverse(event)| event.what)
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.order.cmp(&other.order))
    }
}

pub(super) fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

pub(super) fn span(nanos: f64) -> Duration {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Duration::from_nanos(nanos.max(0.0) as u64)
}
