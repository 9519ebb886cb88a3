//! The adaptive limiter of failsafe-go (github.com/failsafe-go/failsafe-go, `adaptivelimiter`),
//! with its defaults.
//!
//! ```text
//! window   = at least 50 calls and 1 s, or twice its lowest latency up to 30 s
//! recent   = 90 % quantile of the window; median of the last 5; exponential average over 5
//! baseline = exponential average of recent over 10; both averages are plain for the first 10
//! queue    = ceil(limit * (1 - baseline / recent));   step = max(1, floor(log10(limit)))
//! queue > 6 * step                                        limit - step
//! full and throughput falls with concurrency              limit - step
//! full and latency rises with it (correlation > 0.5), and
//!   throughput hardly (correlation < 0.3 or variation < 0.2)  limit - step
//! queue < 3 * step                                        limit + step
//! at most 5 times the most in flight in the window, 1 to 200, 20 at first
//! ```
//!
//! Correlations are over the last 50 windows, from the 10th on. Every call that finished is a
//! sample, whatever came of it; calls that timed out are left out, as its documentation has it.
//!
//! Simplified: the quantile is exact, where the original keeps a t-digest. A cancelled call is left
//! out there; here it cannot be told from an error, and is a sample. Its throttler, which refuses
//! by chance and holds no limit, is not among the peers.

use std::time::Duration;

use buttress::adaptive_limit::{Admitted, Algorithm, Ended, Outcome, Range};
use tokio::time::Instant;

use super::bounds::{Bounds, float};
use super::statistics::{Average, Correlation, Median, quantile};

pub(super) struct Failsafe {
    limit: f64,
    bounds: Bounds,
    window: Vec<f64>,
    most_in_flight: u64,
    next_update: Option<Instant>,
    median: Median,
    recent: Average,
    baseline: Average,
    throughput: Correlation,
    latency: Correlation,
}

impl Failsafe {
    const SAMPLES: usize = 50;
    const SHORTEST: f64 = 1.0;
    const LONGEST: f64 = 30.0;
    const MOST_PER_IN_FLIGHT: f64 = 5.0;

    pub(super) fn new() -> Self {
        Self {
            limit: 20.0,
            bounds: Bounds { min: 1.0, max: 200.0 },
            window: Vec::new(),
            most_in_flight: 0,
            next_update: None,
            median: Median::over(5),
            recent: Average::over(5.0),
            baseline: Average::over(10.0),
            throughput: Correlation::default(),
            latency: Correlation::default(),
        }
    }

    /// `in_flight`: the most in the window, `full`: whether the limit is reached now.
    fn update(&mut self, recent: f64, in_flight: f64, full: bool) {
        let baseline = self.baseline.add(recent);
        let queue = (self.limit * (1.0 - baseline / recent)).ceil();
        let (throughput, variation) = self.throughput.add(in_flight, in_flight / recent);
        let (latency, _) = self.latency.add(in_flight, recent);
        let step = self.limit.log10().floor().max(1.0);
        let hardly_more = throughput < 0.3 || variation < 0.2;
        let overloaded = full && (throughput < 0.0 || (hardly_more && latency > 0.5));
        let mut next = if queue > 6.0 * step || overloaded {
            self.limit - step
        } else if queue < 3.0 * step {
            self.limit + step
        } else {
            self.limit
        };
        let most = Self::MOST_PER_IN_FLIGHT * in_flight;
        if next > most {
            next = if self.limit > most { self.limit - step } else { most };
        }
        self.limit = self.bounds.hold(next);
    }
}

impl Algorithm for Failsafe {
    fn begin(&mut self, range: Range) {
        (self.bounds, self.limit) = Bounds::begin(range, 1, 20, 200);
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        self.next_update.get_or_insert(call.now);
        Some(call.in_flight as u64)
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of calls are far below 2^53")]
    fn ended(&mut self, call: &Ended) {
        if call.outcome != Outcome::TimedOut {
            self.window.push(call.latency.as_secs_f64().max(1e-9));
            self.most_in_flight = self.most_in_flight.max(call.mark);
        }
        let due = self.next_update.is_none_or(|update| call.now > update);
        if !due || self.window.len() < Self::SAMPLES {
            return;
        }
        let recent = self.median.add(quantile(&mut self.window, 0.9));
        let recent = self.recent.add(recent);
        let full = float(call.in_flight) + 1.0 >= self.limit.floor();
        self.update(recent, (self.most_in_flight as f64).max(1.0), full);
        let lowest = self.window.drain(..).fold(f64::INFINITY, f64::min);
        let wait = (2.0 * lowest).clamp(Self::SHORTEST, Self::LONGEST);
        self.next_update = Some(call.now + Duration::from_secs_f64(wait));
        self.most_in_flight = 0;
    }
}
