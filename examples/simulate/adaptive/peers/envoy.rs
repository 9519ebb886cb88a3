//! The gradient controller of Envoy's adaptive concurrency filter (github.com/envoyproxy/envoy,
//! `source/extensions/filters/http/adaptive_concurrency`), with the defaults of its configuration
//! and, for the two intervals that have none, those of the example in its documentation.
//!
//! ```text
//! minRTT   = median of 50 calls at concurrency 3, every 60 s + up to 15 %,
//!            and after five windows in a row at the least limit
//! gradient = 1.25 * minRTT / median of the last 100 ms, between 0.5 and 2
//! limit    = limit * gradient + sqrt(limit * gradient), rounded down, 3 to 1000; 3 at first
//! ```
//!
//! Every response is a sample, errors as well, since the filter does not look at the status. Calls
//! sent before a minRTT window began are none of its samples.
//!
//! Simplified: timers fire with the next call after they are due; the jitter comes from an even
//! sequence; the median is exact, where Envoy's histogram is approximate. A cancelled call is no
//! sample in Envoy; here it cannot be told from an error, and is one.

use std::time::Duration;

use buttress::adaptive_limit::{Admitted, Algorithm, Ended, Range};
use tokio::time::Instant;

use super::bounds::Bounds;
use super::sequence::Sequence;

pub(super) struct Envoy {
    limit: f64,
    bounds: Bounds,
    /// In seconds.
    min_rtt: f64,
    samples: Vec<f64>,
    phase: Phase,
    /// Windows in a row that left the limit at its least.
    at_least: u32,
    jitter: Sequence,
}

enum Phase {
    /// Before the first call.
    Idle,
    /// At the least concurrency since then; the limit to go back to.
    MinRtt { since: Instant, then: f64 },
    /// Until the window ends, and until minRTT is measured again.
    Sampling { ends: Instant, min_rtt: Instant },
}

impl Envoy {
    const LEAST: usize = 3;
    const MOST: usize = 1000;
    const UPDATE: Duration = Duration::from_millis(100);
    const MIN_RTT_CALLS: usize = 50;
    /// In seconds.
    const MIN_RTT_EVERY: f64 = 60.0;
    const JITTER: f64 = 0.15;
    const BUFFER: f64 = 0.25;

    pub(super) fn new() -> Self {
        Self {
            limit: 3.0,
            bounds: Bounds { min: 3.0, max: 1000.0 },
            min_rtt: 0.0,
            samples: Vec::new(),
            phase: Phase::Idle,
            at_least: 0,
            jitter: Sequence::default(),
        }
    }

    /// Does what is due by now.
    fn tick(&mut self, now: Instant) {
        match self.phase {
            Phase::Idle => self.measure(now),
            Phase::Sampling { min_rtt, .. } if now >= min_rtt => self.measure(now),
            Phase::Sampling { ends, min_rtt } if now >= ends => {
                self.phase = Phase::Sampling { ends: now + Self::UPDATE, min_rtt };
                self.update(now);
            }
            Phase::MinRtt { .. } | Phase::Sampling { .. } => {}
        }
    }

    fn measure(&mut self, now: Instant) {
        self.samples.clear();
        self.at_least = 0;
        self.phase = Phase::MinRtt { since: now, then: self.limit };
        self.limit = self.bounds.min;
    }

    fn measured(&mut self, now: Instant, then: f64) {
        self.min_rtt = self.median();
        self.limit = then;
        let wait = Self::MIN_RTT_EVERY * (1.0 + Self::JITTER * self.jitter.next());
        let min_rtt = now + Duration::from_secs_f64(wait);
        self.phase = Phase::Sampling { ends: now + Self::UPDATE, min_rtt };
    }

    /// At the end of a window.
    fn update(&mut self, now: Instant) {
        if self.samples.is_empty() {
            return;
        }
        let gradient = (1.0 + Self::BUFFER) * self.min_rtt / self.median();
        let limit = self.limit * gradient.clamp(0.5, 2.0);
        let next = self.bounds.hold((limit + limit.sqrt()).floor());
        let stays_least = self.limit <= self.bounds.min && next <= self.bounds.min;
        self.limit = next;
        self.at_least = if stays_least { self.at_least + 1 } else { 0 };
        if self.at_least >= 5 {
            self.measure(now);
        }
    }

    /// Of the samples, which it forgets.
    fn median(&mut self) -> f64 {
        let middle = self.samples.len() / 2;
        let median = *self.samples.select_nth_unstable_by(middle, f64::total_cmp).1;
        self.samples.clear();
        median
    }
}

impl Algorithm for Envoy {
    fn begin(&mut self, range: Range) {
        (self.bounds, self.limit) = Bounds::begin(range, Self::LEAST, Self::LEAST, Self::MOST);
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        self.tick(call.now);
        Some(0)
    }

    fn ended(&mut self, call: &Ended) {
        let latency = call.latency.as_secs_f64().max(1e-6);
        match self.phase {
            Phase::MinRtt { since, then } => {
                if call.now.saturating_duration_since(since) >= call.latency {
                    self.samples.push(latency);
                }
                if self.samples.len() >= Self::MIN_RTT_CALLS {
                    self.measured(call.now, then);
                }
            }
            _ => self.samples.push(latency),
        }
        self.tick(call.now);
    }
}
