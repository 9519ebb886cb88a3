//! AIMD, Vegas and Gradient2 of the crate `tower-resilience-adaptive` 0.14
//! (github.com/joshrotenberg/tower-resilience), with the defaults of their builders, which are also
//! the figures of its documentation.
//!
//! ```text
//! AIMD       success within 100 ms  limit + 1
//!            success, slower        floor(limit / 2)
//! Vegas      smoothed = (smoothed + latency) / 2;  from the tenth sample on
//!            queue    = floor(limit * (smoothed - lowest) / lowest)
//!            queue < 3  limit + 1;  queue > 6  limit - 1
//! Gradient2  usual    = average of latency over 600, plain for the first 10
//!            gradient = 1.5 * usual / latency, between 0.5 and 1
//!            2 * inflight >= limit
//!                       limit = 0.8 * limit + 0.2 * (limit * gradient + ceil(log10(limit)))
//! all        error      limit / 2
//! AIMD and Vegas from 1 to 100, 10 at first; Gradient2 from 1 to 200, 20 at first
//! ```
//!
//! In flight are the calls at the end of this one, itself included. Every error counts, as it has
//! no classes of them; timeouts are errors, as of a timeout layer below it.
//!
//! Simplified: a cancelled call is ignored by it; here it cannot be told from an error, and is one.

use buttress::adaptive_limit::{Algorithm, Ended, Outcome, Range};

use super::bounds::{Bounds, float};
use super::statistics::Average;

pub(super) struct TowerResilience {
    limit: f64,
    bounds: Bounds,
    rule: Rule,
}

enum Rule {
    Aimd,
    Vegas { lowest: f64, smoothed: Option<f64>, samples: u32 },
    Gradient2 { usual: Average },
}

impl TowerResilience {
    /// In seconds.
    const AIMD_THRESHOLD: f64 = 0.1;
    const VEGAS_SAMPLES: u32 = 10;

    pub(super) fn aimd() -> Self {
        Self { limit: 10.0, bounds: Bounds { min: 1.0, max: 100.0 }, rule: Rule::Aimd }
    }

    pub(super) fn vegas() -> Self {
        let rule = Rule::Vegas { lowest: f64::INFINITY, smoothed: None, samples: 0 };
        Self { limit: 10.0, bounds: Bounds { min: 1.0, max: 100.0 }, rule }
    }

    pub(super) fn gradient2() -> Self {
        let rule = Rule::Gradient2 { usual: Average::over(600.0) };
        Self { limit: 20.0, bounds: Bounds { min: 1.0, max: 200.0 }, rule }
    }

    /// The limit after a good answer.
    fn good(&mut self, latency: f64, in_flight: f64) -> f64 {
        let limit = self.limit;
        match &mut self.rule {
            Rule::Aimd if latency > Self::AIMD_THRESHOLD => (0.5 * limit).floor(),
            Rule::Aimd => limit + 1.0,
            Rule::Vegas { lowest, smoothed, samples } => {
                *lowest = lowest.min(latency);
                let now = smoothed.map_or(latency, |smoothed| 0.5 * (smoothed + latency));
                *smoothed = Some(now);
                *samples = samples.saturating_add(1);
                let queue = (limit * (now - *lowest) / *lowest).floor();
                match queue {
                    _ if *samples < Self::VEGAS_SAMPLES => limit,
                    ..3.0 => limit + 1.0,
                    queue if queue > 6.0 => limit - 1.0,
                    _ => limit,
                }
            }
            Rule::Gradient2 { usual } => {
                let gradient = (1.5 * usual.add(latency) / latency).clamp(0.5, 1.0);
                if 2.0 * in_flight < limit.ceil() {
                    return limit;
                }
                let queue = limit.ceil().log10().ceil();
                0.8 * limit + 0.2 * (limit * gradient + queue)
            }
        }
    }

    /// The limit after an error.
    fn bad(&self) -> f64 {
        match self.rule {
            Rule::Aimd | Rule::Vegas { .. } => (0.5 * self.limit).floor(),
            Rule::Gradient2 { .. } => 0.5 * self.limit,
        }
    }
}

impl Algorithm for TowerResilience {
    fn begin(&mut self, range: Range) {
        let (initial, most) = match self.rule {
            Rule::Aimd | Rule::Vegas { .. } => (10, 100),
            Rule::Gradient2 { .. } => (20, 200),
        };
        (self.bounds, self.limit) = Bounds::begin(range, 1, initial, most);
    }

    fn limit(&self) -> f64 {
        match self.rule {
            Rule::Aimd | Rule::Vegas { .. } => self.limit,
            Rule::Gradient2 { .. } => self.limit.round(),
        }
    }

    fn ended(&mut self, call: &Ended) {
        let latency = call.latency.as_secs_f64().max(1e-9);
        let limit = match call.outcome {
            Outcome::Answered => self.good(latency, float(call.in_flight) + 1.0),
            _ => self.bad(),
        };
        self.limit = self.bounds.hold(limit);
    }
}
