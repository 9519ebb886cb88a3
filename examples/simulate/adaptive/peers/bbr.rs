//! A limit in the manner of BBR, after Cardwell, Cheng, Gunn, Yeganeh and Jacobson, "BBR:
//! congestion-based congestion control" (2016). Nobody's library: calls in place of packets, and a
//! limit in place of both window and pace.
//!
//! ```text
//! rate    = most calls answered per second in any of the last ten rounds; a round is one lowest
//!           latency long at least, and ten answers
//! lowest  = lowest latency of the last 10 s
//! limit   = gain * rate * lowest + 1
//! gain    = 2 / ln 2 at first, until rate has grown by less than a quarter three rounds running;
//!           ln 2 / 2 until what has queued is gone; then 1.25, 0.75, and six times 1, by rounds
//! ```
//!
//! Where `lowest` is not seen again in 10 s, the limit is 4 for 200 ms or, if that is longer, for
//! `lowest`, to see it; then the cycle begins anew.
//!
//! A round in which nobody was held back shows what was asked for, not what can be done: it only
//! counts if its rate is the higher. BBR itself does not look at losses; nor does this at drops.
//! It paces too, which a limit cannot: the gain cycle acts on the limit alone.

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
    pressed: bool,
}

#[derive(Clone, Copy)]
enum Mode {
    /// The rate to beat, and the rounds in a row that have not.
    Startup(f64, u32),
    Drain,
    /// The round of the cycle.
    Cruise(usize),
    ProbeLatency(Instant),
}

impl Bbr {
    const ROUNDS: usize = 10;
    const ANSWERS: f64 = 10.0;
    const LOWEST_FOR: Duration = Duration::from_secs(10);
    const PROBE: Duration = Duration::from_millis(200);
    const PROBE_LIMIT: f64 = 4.0;
    const STARTUP: f64 = 2.0 / std::f64::consts::LN_2;
    const CYCLE: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];

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

    /// The lowest latency, this one included. Begins to look for it anew when that is due.
    fn see(&mut self, latency: f64, now: Instant) -> f64 {
        let probing = matches!(self.mode, Mode::ProbeLatency(_));
        let lowest = match self.lowest {
            Some((lowest, _)) if latency > lowest => lowest,
            _ => {
                self.lowest = Some((latency, now));
                latency
            }
        };
        let stale = self.lowest.is_some_and(|(_, seen)| now > seen + Self::LOWEST_FOR);
        if stale && !probing {
            self.lowest = Some((latency, now));
            let round = Duration::from_secs_f64(lowest);
            self.mode = Mode::ProbeLatency(now + Self::PROBE.max(round));
        }
        lowest
    }

    /// Ends the round, if it is over. Whether anybody was held back in it.
    fn turn(&mut self, call: &Ended, lowest: f64) -> Option<bool> {
        let fresh = Round { started: call.now, answered: 0.0, pressed: false };
        let round = self.round.get_or_insert(fresh);
        round.answered += 1.0;
        round.pressed |= call.pressed;
        let elapsed = call.now.saturating_duration_since(round.started).as_secs_f64();
        if round.answered < Self::ANSWERS || elapsed < lowest || elapsed <= 0.0 {
            return None;
        }
        let (rate, pressed) = (round.answered / elapsed, round.pressed);
        self.round = Some(Round { started: call.now, answered: 0.0, pressed: false });
        let probing = matches!(self.mode, Mode::ProbeLatency(_));
        if (pressed && !probing) || rate > self.rate() {
            self.rates.push_back(rate);
        }
        if self.rates.len() > Self::ROUNDS {
            self.rates.pop_front();
        }
        Some(pressed)
    }

    /// The mode of the next round.
    fn step(&mut self, in_flight: f64, product: f64) {
        let rate = self.rate();
        self.mode = match self.mode {
            Mode::Startup(best, _) if rate >= 1.25 * best => Mode::Startup(rate, 0),
            Mode::Startup(_, 2..) => Mode::Drain,
            Mode::Startup(best, rounds) => Mode::Startup(best, rounds + 1),
            Mode::Drain if in_flight <= product => Mode::Cruise(2),
            Mode::Cruise(round) => Mode::Cruise((round + 1) % Self::CYCLE.len()),
            mode => mode,
        };
    }

    fn gain(&self) -> f64 {
        match self.mode {
            Mode::Startup(..) => Self::STARTUP,
            Mode::Drain => 1.0 / Self::STARTUP,
            Mode::Cruise(round) => Self::CYCLE[round],
            Mode::ProbeLatency(_) => 1.0,
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
        let lowest = self.see(call.latency.as_secs_f64().max(1e-9), call.now);
        let turned = self.turn(call, lowest);
        let product = self.rate() * lowest;
        let starting = matches!(self.mode, Mode::Startup(..));
        if let Mode::ProbeLatency(until) = self.mode {
            if call.now < until {
                self.limit = self.bounds.hold(self.limit.min(Self::PROBE_LIMIT));
                return;
            }
            self.mode = Mode::Cruise(0);
        } else if turned.is_some_and(|pressed| pressed || !starting) {
            self.step(float(call.in_flight), product);
        }
        if product > 0.0 {
            self.limit = self.bounds.hold(self.gain() * product + 1.0);
        }
    }
}
