//! A limit in the manner of BBR, after Cardwell, Cheng, Gunn, Yeganeh and Jacobson, "BBR:
//! congestion-based congestion control" (2016). Nobody's library: calls in place of packets, and
//! the limit in place of its window.
//!
//! ```text
//! round   = 100 ms and ten answers at least
//! rate    = most answers per second in any of the last ten rounds
//! lowest  = lowest average latency of a round in the last 10 s
//! limit   = gain * rate * lowest + 1;  10 at first
//! gain    = 2 / ln 2 at first, until rate has grown by less than a quarter three rounds running;
//!           1 until what has queued is gone; then 2
//! ```
//!
//! Where `lowest` is not seen again in 10 s, a round is spent at half of `rate * lowest`, as in the
//! second version of BBR, to see it.
//!
//! Averages of rounds stand where BBR takes the lowest sample: the quickest call of a service is
//! one that had little to do, and a limit for that one starves all others. A round in which nobody
//! was held back shows what was asked for, not what can be done: it only counts if its rate is the
//! higher. BBR itself does not look at losses; nor does this at drops. BBR paces too, which a
//! limit cannot: without the cycle of paces around 1, it is the window's gain of 2 that finds
//! more.

use std::collections::VecDeque;
use std::time::Duration;

use buttress::adaptive_limit::{Algorithm, Ended, Outcome, Range};
use tokio::time::Instant;

use super::bounds::{Bounds, float};

pub(super) struct Bbr {
    limit: f64,
    bounds: Bounds,
    rates: VecDeque<f64>,
    /// In seconds, and when it was seen.
    lowest: Option<(f64, Instant)>,
    round: Option<Round>,
    mode: Mode,
}

struct Round {
    started: Instant,
    answered: f64,
    /// Of latencies, in seconds.
    sum: f64,
    pressed: bool,
}

#[derive(Clone, Copy)]
enum Mode {
    /// The rate to beat, and the rounds in a row that have not.
    Startup(f64, u32),
    Drain,
    Cruise,
    /// Calls admitted since then count.
    ProbeLatency(Instant),
}

impl Round {
    const ANSWERS: f64 = 10.0;
    const LENGTH: Duration = Duration::from_millis(100);

    fn at(now: Instant) -> Self {
        Self { started: now, answered: 0.0, sum: 0.0, pressed: false }
    }

    /// Takes the call in, and gives how long the round lasted if it is over, in seconds.
    fn add(&mut self, call: &Ended) -> Option<f64> {
        self.answered += 1.0;
        self.sum += call.latency.as_secs_f64().max(1e-9);
        self.pressed |= call.pressed;
        let elapsed = call.now.saturating_duration_since(self.started);
        let over = elapsed >= Self::LENGTH && self.answered >= Self::ANSWERS;
        over.then_some(elapsed.as_secs_f64())
    }
}

impl Bbr {
    const ROUNDS: usize = 10;
    const LOWEST_FOR: Duration = Duration::from_secs(10);
    const STARTUP: f64 = 2.0 / std::f64::consts::LN_2;

    pub(super) fn new() -> Self {
        Self {
            limit: 10.0,
            bounds: Bounds { min: 1.0, max: f64::INFINITY },
            rates: VecDeque::new(),
            lowest: None,
            round: None,
            mode: Mode::Startup(0.0, 0),
        }
    }

    fn rate(&self) -> f64 {
        self.rates.iter().copied().fold(0.0, f64::max)
    }

    /// Takes in the rate of a round that has ended.
    fn note_rate(&mut self, rate: f64, pressed: bool) {
        if pressed || rate > self.rate() {
            self.rates.push_back(rate);
        }
        if self.rates.len() > Self::ROUNDS {
            self.rates.pop_front();
        }
    }

    /// Takes in the average latency of a round that has ended: the lowest, and whether to look for
    /// it anew.
    fn note_latency(&mut self, latency: f64, now: Instant) -> (f64, bool) {
        let probed = matches!(self.mode, Mode::ProbeLatency(_));
        match self.lowest {
            Some((lowest, seen)) if latency > lowest && !probed => {
                (lowest, now > seen + Self::LOWEST_FOR)
            }
            _ => {
                self.lowest = Some((latency, now));
                (latency, false)
            }
        }
    }

    /// The mode of the next round.
    fn next(&self, in_flight: f64, product: f64, pressed: bool) -> Mode {
        let rate = self.rate();
        match self.mode {
            Mode::Startup(best, _) if rate >= 1.25 * best => Mode::Startup(rate, 0),
            Mode::Startup(_, 2..) if pressed => Mode::Drain,
            Mode::Startup(best, rounds) if pressed => Mode::Startup(best, rounds + 1),
            Mode::Drain if in_flight <= product => Mode::Cruise,
            Mode::ProbeLatency(_) => Mode::Cruise,
            mode => mode,
        }
    }

    fn gain(&self) -> f64 {
        match self.mode {
            Mode::Startup(..) => Self::STARTUP,
            Mode::Drain => 1.0,
            Mode::Cruise => 2.0,
            Mode::ProbeLatency(_) => 0.5,
        }
    }
}

impl Algorithm for Bbr {
    fn begin(&mut self, range: Range) {
        (self.bounds, self.limit) = Bounds::begin(range, 1, 10, usize::MAX);
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    fn ended(&mut self, call: &Ended) {
        if call.outcome != Outcome::Answered {
            return;
        }
        if let Mode::ProbeLatency(since) = self.mode
            && call.now.saturating_duration_since(since) < call.latency
        {
            return;
        }
        let round = self.round.get_or_insert_with(|| Round::at(call.now));
        let Some(elapsed) = round.add(call) else { return };
        let (rate, latency) = (round.answered / elapsed, round.sum / round.answered);
        let pressed = round.pressed;
        self.round = Some(Round::at(call.now));
        if !matches!(self.mode, Mode::ProbeLatency(_)) {
            self.note_rate(rate, pressed);
        }
        let (lowest, stale) = self.note_latency(latency, call.now);
        let product = self.rate() * lowest;
        self.mode = if stale {
            Mode::ProbeLatency(call.now)
        } else {
            self.next(float(call.in_flight), product, pressed)
        };
        self.limit = self.bounds.hold(self.gain() * product + 1.0);
    }
}
