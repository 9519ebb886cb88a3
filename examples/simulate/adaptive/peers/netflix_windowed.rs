//! `WindowedLimit` of Netflix's `concurrency-limits` (Java, github.com/Netflix/concurrency-limits),
//! with the defaults of its builder, around another of its limits.
//!
//! Its documentation has the gradient computed once per window of about a second: this is the
//! wrapper that does so, and has to be asked for. A window lasts 1 s (twice its lowest latency,
//! between 1 s and 1 s) and counts from 10 samples on. The inner limit is shown one call for all of
//! it: of the average latency, the most in flight, and dropped if one of them was. Calls of less
//! than 100 us are left out.

use std::time::Duration;

use buttress::adaptive_limit::{Admitted, Algorithm, Ended, Outcome, Range};
use tokio::time::Instant;

pub(super) struct Windowed<A> {
    inner: A,
    ends: Option<Instant>,
    window: Window,
}

#[derive(Default)]
struct Window {
    samples: u32,
    sum: Duration,
    in_flight: u64,
    dropped: bool,
}

impl<A> Windowed<A> {
    const LENGTH: Duration = Duration::from_secs(1);
    const SAMPLES: u32 = 10;
    const LEAST: Duration = Duration::from_micros(100);

    pub(super) fn new(inner: A) -> Self {
        Self { inner, ends: None, window: Window::default() }
    }
}

impl<A: Algorithm> Algorithm for Windowed<A> {
    fn begin(&mut self, range: Range) {
        self.inner.begin(range);
    }

    fn limit(&self) -> f64 {
        self.inner.limit()
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        Some(call.in_flight as u64)
    }

    fn ended(&mut self, call: &Ended) {
        if call.outcome == Outcome::Unknown || call.latency < Self::LEAST {
            return;
        }
        self.window.samples += 1;
        self.window.sum = self.window.sum.saturating_add(call.latency);
        self.window.in_flight = self.window.in_flight.max(call.mark);
        self.window.dropped |= call.outcome != Outcome::Answered;
        if self.ends.is_some_and(|ends| call.now <= ends) {
            return;
        }
        self.ends = Some(call.now + Self::LENGTH);
        let window = std::mem::take(&mut self.window);
        if window.samples >= Self::SAMPLES {
            let mut whole = *call;
            whole.latency = window.sum / window.samples;
            whole.mark = window.in_flight;
            whole.outcome = if window.dropped { Outcome::TimedOut } else { Outcome::Answered };
            self.inner.ended(&whole);
        }
    }
}
