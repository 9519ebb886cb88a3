//! The crate `little-loadshedder` 0.2 (github.com/Skepfyr/little-loadshedder). It has no defaults;
//! the figures are those of its own example, an average weighted 0.01 and a target of 2 s.
//!
//! ```text
//! average = 0.99 * average + 0.01 * latency; the target at first
//! every 10 * average (average / 0.01 / 10), while at most a tenth of the limit, or one, is free:
//!   throughput = inflight / average
//!   average > target, or more in flight gave less throughput, or less gave more   limit - 1
//!   otherwise                                                                     limit + 1
//!   average grows or shrinks with the limit
//! limit from 1, 1 at first
//! ```
//!
//! All calls that finish are samples. In flight are the calls at the end of this one, itself
//! included.
//!
//! Simplified: the queue in front of it, of `limit * (target / average - 1)` calls, is left out.
//! Its target knows nothing of a caller's deadline, against which the waiting would count: leaving
//! it out is meant in its favour. A cancelled call is no sample to it; here it cannot be told from
//! an error, and is one.

use std::time::Duration;

use buttress::adaptive_limit::{Admitted, Algorithm, Ended, Range};
use tokio::time::Instant;

use super::bounds::{Bounds, float};

pub(super) struct LittleLoadshedder {
    limit: f64,
    bounds: Bounds,
    /// In seconds.
    average: f64,
    changed: Option<Instant>,
    /// In flight and throughput at the change before.
    before: (f64, f64),
}

impl LittleLoadshedder {
    const WEIGHT: f64 = 0.01;
    /// In seconds.
    const TARGET: f64 = 2.0;

    pub(super) fn new() -> Self {
        Self {
            limit: 1.0,
            bounds: Bounds { min: 1.0, max: f64::INFINITY },
            average: Self::TARGET,
            changed: None,
            before: (0.0, 0.0),
        }
    }

    fn change(&mut self, in_flight: f64) {
        let throughput = in_flight / self.average;
        let (in_flight_before, throughput_before) = self.before;
        let worse = (throughput > throughput_before) != (in_flight > in_flight_before);
        let step = if worse || self.average > Self::TARGET { -1.0 } else { 1.0 };
        let limit = self.bounds.hold(self.limit + step);
        self.average *= limit / self.limit;
        self.limit = limit;
        self.before = (in_flight, throughput);
    }
}

impl Algorithm for LittleLoadshedder {
    fn begin(&mut self, range: Range) {
        (self.bounds, self.limit) = Bounds::begin(range, 1, 1, usize::MAX);
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        self.changed.get_or_insert(call.now);
        Some(0)
    }

    fn ended(&mut self, call: &Ended) {
        let latency = call.latency.as_secs_f64().max(1e-9);
        self.average += Self::WEIGHT * (latency - self.average);
        let in_flight = float(call.in_flight) + 1.0;
        let used = self.limit - in_flight <= (self.limit / 10.0).floor().max(1.0);
        let changed = *self.changed.get_or_insert(call.now);
        let since = call.now.saturating_duration_since(changed);
        if used && since > Duration::from_secs_f64(self.average / Self::WEIGHT / 10.0) {
            self.change(in_flight);
            self.changed = Some(call.now);
        }
    }
}
