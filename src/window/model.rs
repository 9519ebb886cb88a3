//! The windows against a naive model that keeps every outcome: for the tests, and for `fuzz/`.

use std::time::Duration;

use crate::time::{self, Instant};
use crate::window::{Outcome, Outcomes, Totals, Window};

/// What happens to a window.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // No part of the API.
pub enum Op {
    Wait(Duration),
    /// The clock goes back.
    Back(Duration),
    Record {
        failed: bool,
        slow: bool,
    },
    Read,
    Clear,
}

/// Every outcome since the window was last cleared, and when it came.
struct Model {
    window: Window,
    origin: Instant,
    /// The latest time that was ever seen: a clock that goes back is not followed.
    latest: Instant,
    history: Vec<(Instant, Outcome)>,
}

impl Model {
    fn clear(&mut self, now: Instant) {
        (self.origin, self.latest) = (now, now);
        self.history.clear();
    }

    fn record(&mut self, now: Instant, outcome: Outcome) {
        self.latest = self.latest.max(now);
        self.history.push((self.latest, outcome));
    }

    fn totals(&mut self, now: Instant) -> Totals {
        self.latest = self.latest.max(now);
        let mut totals = Totals::default();
        let inside = |at: Instant, newer: usize| match self.window {
            Window::Count(size) => newer < size as usize,
            Window::Time(span) => self.bucket(at, span) + 10 > self.bucket(self.latest, span),
        };
        for (newer, (at, outcome)) in self.history.iter().rev().enumerate() {
            if inside(*at, newer) {
                totals.calls += 1;
                totals.failed += u64::from(outcome.failed);
                totals.slow += u64::from(outcome.slow);
            }
        }
        totals
    }

    fn bucket(&self, at: Instant, span: Duration) -> u128 {
        (at - self.origin).as_nanos() / (span / 10).as_nanos()
    }
}

/// Panics where the window counts otherwise than the model. A span of time is at least 1 ms.
///
/// # Panics
///
/// There.
pub fn run(window: Window, ops: impl IntoIterator<Item = Op>) {
    // Far from where the clock cannot go back any more.
    let mut now = time::now() + Duration::from_secs(1 << 30);
    let mut model = Model { window, origin: now, latest: now, history: Vec::new() };
    let mut outcomes = Outcomes::new(window, now);
    for op in ops {
        match op {
            Op::Wait(time) => now += time,
            Op::Back(time) => now = now.checked_sub(time).unwrap_or(now),
            Op::Record { failed, slow } => {
                outcomes.record(now, Outcome { failed, slow });
                model.record(now, Outcome { failed, slow });
            }
            Op::Read => assert_eq!(outcomes.totals(now), model.totals(now)),
            Op::Clear => {
                outcomes.clear(now);
                model.clear(now);
            }
        }
    }
    assert_eq!(outcomes.totals(now), model.totals(now));
}
