//! AIMD, Vegas and Gradient of the crate `congestion-limiter` 0.1
//! (github.com/ThomWright/congestion-limiter), with its defaults; it has none for the first limit,
//! which is 10 in its documentation.
//!
//! ```text
//! AIMD      overload                 floor(0.9 * limit)
//!           inflight > 0.8 * limit   limit + 1
//! Vegas     queue = inflight * (1 - lowest / latency)
//!           step  = max(1, floor(log10(limit)));  alpha, beta = 3, 6 times max(1, log10(limit))
//!           overload                 floor(0.9 * limit)
//!           queue > beta             limit - step
//!           queue < alpha, inflight >= 0.8 * limit   limit + step
//! Gradient  usual    = average of latency over 500, plain for the first 10;
//!                      5 % less after a sample of less than half of it
//!           gradient = 2 * usual / latency, between 0.5 and 1
//!           more     = 4 if inflight > 0.8 * limit and gradient > 0.9, else 0
//!           limit    = 0.8 * limit + 0.2 * (limit * gradient + more)
//! limit from 1 to 1000
//! ```
//!
//! In flight are the calls at the end of this one, itself included. Latencies below 1 us are left
//! out by Vegas and Gradient. A timeout is an overload; other failures are ignored, as asked for by
//! its documentation. Gradient does not look at overloads.
//!
//! `windowed` is its wrapper that shows the inner limit one call for each window of ten calls and
//! twice the lowest latency, up to 2 s: of the average latency and calls in flight, an overload if
//! one of them was. Its documentation asks for it to make Vegas and Gradient steadier. (In the code
//! of 0.1.0 every window but the first lasts 2 s; here it is as documented.)

use std::time::Duration;

use buttress::adaptive_limit::{Algorithm, Ended, Outcome, Range};
use tokio::time::Instant;

use super::bounds::{Bounds, float};
use super::statistics::Average;

pub(super) struct CongestionLimiter {
    limit: f64,
    bounds: Bounds,
    rule: Rule,
    window: Option<Window>,
}

enum Rule {
    Aimd,
    /// The lowest latency, in seconds.
    Vegas(f64),
    Gradient(Average),
}

/// Sums over the calls since `started`; latencies in seconds.
#[derive(Default)]
struct Window {
    started: Option<Instant>,
    lasts: f64,
    calls: f64,
    latency: f64,
    lowest: f64,
    in_flight: f64,
    overload: bool,
}

#[derive(Clone, Copy)]
struct Sample {
    latency: f64,
    in_flight: f64,
    overload: bool,
}

impl CongestionLimiter {
    pub(super) fn aimd() -> Self {
        Self::of(Rule::Aimd)
    }

    pub(super) fn vegas() -> Self {
        Self::of(Rule::Vegas(f64::INFINITY))
    }

    pub(super) fn gradient() -> Self {
        Self::of(Rule::Gradient(Average::over(500.0)))
    }

    pub(super) fn windowed(self) -> Self {
        Self { window: Some(Window::default()), ..self }
    }

    fn of(rule: Rule) -> Self {
        Self { limit: 10.0, bounds: Bounds { min: 1.0, max: 1000.0 }, rule, window: None }
    }

    fn next(&mut self, sample: Sample) -> f64 {
        let limit = self.limit;
        let (latency, in_flight) = (sample.latency, sample.in_flight);
        match &mut self.rule {
            Rule::Aimd if sample.overload => (0.9 * limit).floor(),
            Rule::Aimd if in_flight > 0.8 * limit => limit + 1.0,
            Rule::Aimd => limit,
            Rule::Vegas(lowest) => {
                *lowest = lowest.min(latency);
                let queue = in_flight * (1.0 - *lowest / latency);
                let digits = limit.log10().max(1.0);
                if sample.overload {
                    (0.9 * limit).floor()
                } else if queue > 6.0 * digits {
                    limit - digits.floor()
                } else if queue < 3.0 * digits && in_flight >= 0.8 * limit {
                    limit + digits.floor()
                } else {
                    limit
                }
            }
            Rule::Gradient(usual) => {
                let ratio = usual.add(latency) / latency;
                if ratio > 2.0 {
                    usual.value *= 0.95;
                }
                let gradient = (2.0 * ratio).clamp(0.5, 1.0);
                let more = in_flight > 0.8 * limit && gradient > 0.9;
                let next = limit * gradient + if more { 4.0 } else { 0.0 };
                0.8 * limit + 0.2 * next
            }
        }
    }
}

impl Window {
    const CALLS: f64 = 10.0;

    /// All of the window, if it ends with this call.
    fn add(&mut self, now: Instant, sample: Sample) -> Option<Sample> {
        let lowest = if self.calls > 0.0 { self.lowest } else { f64::INFINITY };
        self.lowest = lowest.min(sample.latency);
        self.calls += 1.0;
        self.latency += sample.latency;
        self.in_flight += sample.in_flight;
        self.overload |= sample.overload;
        let started = *self.started.get_or_insert(now);
        let over = now.saturating_duration_since(started) >= Duration::from_secs_f64(self.lasts);
        if self.calls < Self::CALLS || !over {
            return None;
        }
        let lasts = 2.0 * self.lowest.min(1.0);
        let done = std::mem::replace(self, Self { started: Some(now), lasts, ..Self::default() });
        let in_flight = (done.in_flight / done.calls).floor();
        Some(Sample { latency: done.latency / done.calls, in_flight, overload: done.overload })
    }
}

impl Algorithm for CongestionLimiter {
    fn begin(&mut self, range: Range) {
        (self.bounds, self.limit) = Bounds::begin(range, 1, 10, 1000);
    }

    fn limit(&self) -> f64 {
        match self.rule {
            Rule::Gradient(_) => self.limit.round(),
            _ => self.limit,
        }
    }

    fn ended(&mut self, call: &Ended) {
        let too_quick = call.latency < Duration::from_micros(1);
        let timed = self.window.is_some() || !matches!(self.rule, Rule::Aimd);
        if call.outcome == Outcome::Unknown || (timed && too_quick) {
            return;
        }
        let mut sample = Sample {
            latency: call.latency.as_secs_f64(),
            in_flight: float(call.in_flight) + 1.0,
            overload: call.outcome != Outcome::Answered,
        };
        if let Some(window) = &mut self.window {
            let Some(whole) = window.add(call.now, sample) else { return };
            sample = whole;
        }
        self.limit = self.bounds.hold(self.next(sample));
    }
}
