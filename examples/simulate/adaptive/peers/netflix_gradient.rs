//! `GradientLimit` of Netflix's `concurrency-limits` (Java, github.com/Netflix/concurrency-limits),
//! the first of its two gradients, with the defaults of its builder.
//!
//! ```text
//! queue    = max(4, floor(sqrt(limit)))
//! gradient = 2 * lowest / rtt, between 0.5 and 1
//! drop                 next = 0.9 * limit
//! inflight < limit / 2 the limit stays
//! otherwise            next = limit * gradient + queue
//! if next < limit      next = max(1, 0.8 * limit + 0.2 * next)
//! limit    = at least queue, at most 1000; 50 at first
//! ```
//!
//! After 1000 to 2000 samples `lowest` is forgotten and the limit falls to `queue`. In flight are
//! the calls at the admission of this one. Drops are samples of latency too.
//!
//! Simplified: the 1000 to 2000 come from an even sequence, not by chance.

use buttress::adaptive_limit::{Admitted, Algorithm, Ended, Outcome, Range};

use super::bounds::Bounds;
use super::sequence::Sequence;

pub(super) struct GradientLimit {
    limit: f64,
    bounds: Bounds,
    lowest: Option<f64>,
    until_probe: f64,
    jitter: Sequence,
}

impl GradientLimit {
    pub(super) fn new() -> Self {
        Self {
            limit: 50.0,
            bounds: Bounds { min: 1.0, max: 1000.0 },
            lowest: None,
            until_probe: 1500.0,
            jitter: Sequence::default(),
        }
    }
}

impl Algorithm for GradientLimit {
    fn begin(&mut self, range: Range) {
        (self.bounds, self.limit) = Bounds::begin(range, 1, 50, 1000);
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        Some(call.in_flight as u64)
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of calls are far below 2^53")]
    fn ended(&mut self, call: &Ended) {
        if call.outcome == Outcome::Unknown {
            return;
        }
        let queue = self.limit.sqrt().floor().max(4.0);
        self.until_probe -= 1.0;
        if self.until_probe < 0.0 {
            self.until_probe = 1000.0 * (1.0 + self.jitter.next());
            self.limit = self.bounds.hold(queue);
            self.lowest = None;
            return;
        }
        let rtt = call.latency.as_secs_f64().max(1e-9);
        let lowest = self.lowest.map_or(rtt, |lowest| lowest.min(rtt));
        self.lowest = Some(lowest);
        let gradient = (2.0 * lowest / rtt).clamp(0.5, 1.0);
        let mut next = if call.outcome != Outcome::Answered {
            0.9 * self.limit
        } else if (call.mark as f64) < self.limit / 2.0 {
            return;
        } else {
            self.limit * gradient + queue
        };
        if next < self.limit {
            next = (0.8 * self.limit + 0.2 * next).max(self.bounds.min);
        }
        self.limit = self.bounds.hold(next.max(queue));
    }
}
