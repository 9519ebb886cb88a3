//! AIMD, Vegas and Gradient2 of the crate `tower-acc` 0.1 (github.com/guilload/tower-acc), with the
//! defaults of their builders. All three begin at 20.
//!
//! ```text
//! AIMD       error or latency > 5 s  0.9 * limit
//!            2 * inflight >= limit   limit + 1;  20 to 200
//! Vegas      as Netflix's, but that a limit in little use is left alone by errors too;  1 to 1000
//! Gradient2  as Netflix's, but that ceil(log10(limit)) calls may queue;  20 to 200
//! ```
//!
//! They follow Netflix's (see there), with fractions kept by AIMD. In flight are the calls at the
//! end of this one, without it. Its default takes every error for one that counts; of Gradient2's
//! they are samples as others.
//!
//! Simplified: the moments of Vegas's probes come from another even sequence. A cancelled call is
//! ignored by it; here it cannot be told from an error, and is one.

use buttress::adaptive_limit::{Algorithm, Ended, Outcome, Range};

use super::bounds::{Bounds, float};
use super::sequence::Sequence;
use super::statistics::Average;

pub(super) struct TowerAcc {
    limit: f64,
    bounds: Bounds,
    rule: Rule,
}

enum Rule {
    Aimd,
    Vegas(Vegas),
    Gradient2(Average),
}

#[derive(Default)]
struct Vegas {
    lowest: Option<f64>,
    samples: f64,
    jitter: f64,
    sequence: Sequence,
}

impl TowerAcc {
    pub(super) fn aimd() -> Self {
        Self::of(Rule::Aimd)
    }

    pub(super) fn vegas() -> Self {
        Self::of(Rule::Vegas(Vegas { jitter: 0.51, ..Vegas::default() }))
    }

    pub(super) fn gradient2() -> Self {
        Self::of(Rule::Gradient2(Average::over(600.0)))
    }

    fn of(rule: Rule) -> Self {
        Self { limit: 20.0, bounds: Bounds { min: 1.0, max: 1000.0 }, rule }
    }
}

impl Vegas {
    const PROBE_EVERY: f64 = 30.0;

    /// The latency to compare with, unless this one has become it.
    fn sample(&mut self, latency: f64, limit: f64) -> Option<f64> {
        self.samples += 1.0;
        let probe = self.samples >= (self.jitter * Self::PROBE_EVERY * limit).floor();
        if probe {
            self.samples = 0.0;
            self.jitter = 0.5 + 0.5 * self.sequence.next();
        }
        match self.lowest {
            Some(lowest) if lowest <= latency && !probe => Some(lowest),
            _ => {
                self.lowest = Some(latency);
                None
            }
        }
    }

    fn next(&mut self, limit: f64, latency: f64, used: bool, good: bool) -> f64 {
        let Some(lowest) = self.sample(latency, limit.floor()) else { return limit };
        if !used {
            return limit;
        }
        let queue = (limit * (1.0 - lowest / latency)).ceil();
        let step = limit.log10().floor().max(1.0);
        if !good {
            limit - step
        } else if queue <= step {
            limit + 6.0 * step
        } else if queue < 3.0 * step {
            limit + step
        } else if queue > 6.0 * step {
            limit - step
        } else {
            limit
        }
    }
}

/// The limit of Gradient2 after an answer.
fn gradient2(usual: &mut Average, limit: f64, latency: f64, used: bool) -> f64 {
    let compared = usual.add(latency);
    if compared > 2.0 * latency {
        usual.value *= 0.95;
    }
    if !used {
        return limit;
    }
    let gradient = (1.5 * usual.value / latency).clamp(0.5, 1.0);
    let queue = limit.floor().log10().ceil().max(1.0);
    0.8 * limit + 0.2 * (limit * gradient + queue)
}

impl Algorithm for TowerAcc {
    fn begin(&mut self, range: Range) {
        let (least, most) = match self.rule {
            Rule::Aimd | Rule::Gradient2(_) => (20, 200),
            Rule::Vegas(_) => (1, 1000),
        };
        (self.bounds, self.limit) = Bounds::begin(range, least, 20, most);
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    fn ended(&mut self, call: &Ended) {
        let latency = call.latency.as_secs_f64().max(1e-9);
        let good = call.outcome == Outcome::Answered;
        let used = 2.0 * float(call.in_flight) >= self.limit.floor();
        let limit = match &mut self.rule {
            Rule::Aimd if !good || latency > 5.0 => 0.9 * self.limit,
            Rule::Aimd if used => self.limit + 1.0,
            Rule::Aimd => self.limit,
            Rule::Vegas(vegas) => vegas.next(self.limit, latency, used, good),
            Rule::Gradient2(usual) => gradient2(usual, self.limit, latency, used),
        };
        self.limit = self.bounds.hold(limit);
    }
}
