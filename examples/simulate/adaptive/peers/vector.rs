//! Adaptive request concurrency of Vector (github.com/vectordotdev/vector,
//! `src/sinks/util/adaptive_concurrency`), with its defaults.
//!
//! ```text
//! rtt  = average latency of the good answers since the last update
//! past, deviation = exponential average of rtt, of weight 0.4, and the root of its variance
//! once per past:
//!   limit was reached, no back pressure, rtt <= past   limit + 1
//!   back pressure, or rtt >= past + 2.5 * deviation    limit = floor(0.9 * limit)
//! limit from 1 to 200, 1 at first
//! ```
//!
//! Back pressure is a timeout or an error that is worth retrying, as by default every one of the
//! server is: so is here every answer that is not good.
//!
//! Simplified: a cancelled call gives no back pressure in Vector; here it cannot be told from an
//! error.

use std::time::Duration;

use buttress::adaptive_limit::{Admitted, Algorithm, Ended, Outcome, Range};
use tokio::time::Instant;

use super::bounds::{Bounds, float};

pub(super) struct Vector {
    limit: f64,
    bounds: Bounds,
    past: Option<Past>,
    next_update: Option<Instant>,
    samples: f64,
    /// Average of those, in seconds.
    rtt: f64,
    back_pressure: bool,
    reached: bool,
}

/// In seconds, and seconds squared.
#[derive(Clone, Copy)]
struct Past {
    mean: f64,
    variance: f64,
}

impl Past {
    const WEIGHT: f64 = 0.4;

    fn with(self, rtt: f64) -> Self {
        let difference = rtt - self.mean;
        let increment = Self::WEIGHT * difference;
        let variance = (1.0 - Self::WEIGHT) * (self.variance + difference * increment);
        Self { mean: self.mean + increment, variance }
    }
}

impl Vector {
    const DEVIATIONS: f64 = 2.5;
    const DECREASE: f64 = 0.9;

    pub(super) fn new() -> Self {
        Self {
            limit: 1.0,
            bounds: Bounds { min: 1.0, max: 200.0 },
            past: None,
            next_update: None,
            samples: 0.0,
            rtt: 0.0,
            back_pressure: false,
            reached: false,
        }
    }

    fn update(&mut self, past: Past, rtt: Option<f64>) {
        let threshold = past.mean + Self::DEVIATIONS * past.variance.sqrt();
        let quick = rtt.is_some_and(|rtt| rtt <= past.mean);
        if self.limit < self.bounds.max && self.reached && !self.back_pressure && quick {
            self.limit += 1.0;
        } else if self.back_pressure || rtt.unwrap_or(0.0) >= threshold {
            self.limit = self.bounds.hold((self.limit * Self::DECREASE).floor());
        }
    }

    /// Begins the next interval, as long as `past` says.
    fn remember(&mut self, now: Instant, past: Past) {
        self.past = Some(past);
        self.next_update = Some(now + Duration::from_secs_f64(past.mean));
    }
}

impl Algorithm for Vector {
    fn begin(&mut self, range: Range) {
        (self.bounds, self.limit) = Bounds::begin(range, 1, 1, 200);
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        self.reached |= float(call.in_flight) >= self.limit;
        Some(0)
    }

    fn ended(&mut self, call: &Ended) {
        if call.outcome == Outcome::Answered {
            self.samples += 1.0;
            self.rtt += (call.latency.as_secs_f64() - self.rtt) / self.samples;
        } else {
            self.back_pressure = true;
        }
        let rtt = (self.samples > 0.0).then_some(self.rtt);
        match (self.past, rtt) {
            (None, Some(rtt)) => self.remember(call.now, Past { mean: rtt, variance: 0.0 }),
            (Some(past), rtt) if self.next_update.is_none_or(|update| call.now >= update) => {
                self.update(past, rtt);
                self.remember(call.now, rtt.map_or(past, |rtt| past.with(rtt)));
                (self.samples, self.rtt) = (0.0, 0.0);
                (self.back_pressure, self.reached) = (false, false);
            }
            (None, None) | (Some(_), _) => {}
        }
    }
}
