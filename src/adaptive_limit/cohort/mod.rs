//! [`Cohort`]: the default algorithm.

mod members;

use std::time::Duration;

use tokio::time::Instant;

use self::members::{Members, Shown};
use super::{Admitted, Algorithm, Ended, Range};

/// The default algorithm.
#[derive(Clone, Debug)]
pub struct Cohort {
    range: (f64, f64),
    limit: f64,
    members: Option<Members>,
    waiting: bool,
    state: State,
    /// Running variance of the logarithm of the latency.
    variance: Option<f64>,
    baseline: Option<Baseline>,
    starting: bool,
    /// How strongly it grows: more while the queue stays empty.
    thrust: f64,
    /// Cohorts pressed since the last dip, and how many before the next.
    pressed: u32,
    dip_at: Option<Instant>,
    dip_wait: f64,
    suspicious: u32,
    /// Cohorts before latency is tested again.
    test_pause: u32,
    test_wait: u32,
    /// The limit before a blackout.
    before_blackout: Option<f64>,
    /// The limit at which overload answers began.
    overload_level: Option<f64>,
    low_streak: u32,
    dip_low: Option<f64>,
    dip_high: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Baseline {
    g: f64,
    samples: f64,
    floor: f64,
    variance: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Usual,
    /// A small cohort at half the concurrency that does the work, to see the baseline.
    Dip {
        back: f64,
    },
    /// A small cohort at less, to see whether latency answers.
    Test {
        back: f64,
        n: f64,
        g: f64,
    },
}

impl Default for Cohort {
    fn default() -> Self {
        Self::new()
    }
}

impl Cohort {
    /// With its usual parameters.
    #[must_use]
    pub fn new() -> Self {
        Self {
            range: (1.0, 10_000.0),
            limit: 1.0,
            members: None,
            waiting: false,
            state: State::Usual,
            variance: None,
            baseline: None,
            starting: true,
            thrust: 1.0,
            pressed: 0,
            dip_at: None,
            dip_wait: 5.0,
            suspicious: 0,
            test_pause: 0,
            test_wait: 2,
            before_blackout: None,
            overload_level: None,
            low_streak: 0,
            dip_low: None,
            dip_high: None,
        }
    }

    fn r0(&self) -> f64 {
        self.baseline.map_or(0.1, |baseline| baseline.g.exp())
    }

    fn wanted(&self) -> usize {
        match self.state {
            State::Usual => {
                if self.starting {
                    return self.limit.clamp(8.0, 2000.0) as usize;
                }
                ((0.5 / self.r0()).clamp(1.0, 3.0) * self.limit).clamp(16.0, 2000.0) as usize
            }
            State::Dip { back } | State::Test { back, .. } => {
                if back < 16.0 {
                    16
                } else {
                    32
                }
            }
        }
    }

    fn set(&mut self, limit: f64) {
        let (min, max) = self.range;
        self.limit = if limit.is_nan() { min } else { limit.clamp(min, max) };
    }

    fn complete(&mut self, now: Instant) {
        let Some(members) = &mut self.members else { return };
        let shown = members.show(now);
        self.waiting = false;
        if shown.samples >= 4.0 && self.state == State::Usual {
            let v = self.variance.get_or_insert(shown.variance);
            *v += 0.2 * (shown.variance - *v);
        }
        match self.state {
            State::Usual => self.usual(now, &shown),
            State::Dip { back } => {
                self.state = State::Usual;
                self.set(back);
                self.dipped(&shown);
            }
            State::Test { back, n, g } => {
                self.state = State::Usual;
                self.tested(&shown, back, n, g);
            }
        }
    }

    /// The small cohort is on its way: who comes after it does not delay it.
    fn taken_in(&mut self) {
        match self.state {
            State::Usual => {}
            State::Dip { back } | State::Test { back, .. } => self.set(back),
        }
    }

    fn spread_of_one(&self) -> f64 {
        self.variance.unwrap_or(1.0).max(self.baseline.map_or(0.0, |b| b.variance)).max(1e-4)
    }

    fn se(&self, samples: f64) -> f64 {
        (self.spread_of_one() / samples.max(1.0)).sqrt()
    }

    fn usual(&mut self, now: Instant, shown: &Shown) {
        if shown.samples < 4.0 {
            self.drops(shown);
            return;
        }
        let se = self.se(shown.samples);
        let spread = self.baseline.map_or(se, |b| se.hypot(self.se(b.samples)));
        let starting = self.starting;
        match &mut self.baseline {
            None => {
                self.baseline = Some(Baseline {
                    g: shown.g,
                    samples: shown.samples,
                    floor: shown.g,
                    variance: shown.variance,
                });
            }
            Some(baseline) => {
                let below = (baseline.g - shown.g) / spread;
                self.low_streak = if below > 3.0 { self.low_streak + 1 } else { 0 };
                if below > 4.5 || self.low_streak >= 2 {
                    baseline.g = baseline.g.min(shown.g + 1.0 * se);
                    baseline.samples = shown.samples;
                    baseline.variance = shown.variance;
                    baseline.floor = baseline.floor.min(baseline.g);
                    self.low_streak = 0;
                } else if starting && below.abs() < 2.0 {
                    let weight = shown.samples / (shown.samples + baseline.samples);
                    baseline.g += weight * (shown.g - baseline.g);
                    baseline.variance += weight * (shown.variance - baseline.variance);
                    baseline.samples += shown.samples;
                    baseline.floor = baseline.g;
                } else if !shown.pressed && (shown.n < self.limit / 2.0 || below.abs() < 2.0) {
                    baseline.g += 0.1 * (shown.g - baseline.g);
                    baseline.variance += 0.1 * (shown.variance - baseline.variance);
                    baseline.samples = (baseline.samples + shown.samples).min(2000.0);
                    baseline.floor = baseline.g;
                }
            }
        }
        let r0 = self.r0();
        let calmer =
            self.baseline.map_or(0.0, |b| b.variance - self.variance.unwrap_or(b.variance));
        let r = (shown.g - 0.35 * calmer.clamp(0.0, 1.5)).exp().max(r0.min(shown.g.exp()));
        let n = shown.n;
        let q = (n * (1.0 - r0 / r)).max(0.0);
        let burst = shown.least < 0.2 * n;
        let target = target(n) * if burst { 2.0 } else { 1.0 };
        if self.drops(shown) {
            return;
        }
        if shown.timeouts >= 4.0 && shown.timeouts > 0.3 * shown.members {
            let sane = if self.starting { 0.25 * self.limit } else { self.limit };
            self.before_blackout.get_or_insert(sane);
            self.starting = false;
            self.set(self.limit * 0.6);
            return;
        }
        // Does latency answer?
        let allowed = r0 * n / (n - target).max(0.1 * n);
        if (r / allowed).ln() > 1.2_f64.ln() + 2.0 * spread {
            self.suspicious += 1;
        } else {
            self.suspicious = 0;
        }
        if self.test_pause > 0 {
            self.test_pause -= 1;
        }
        if self.suspicious >= 2 && self.test_pause == 0 && n >= 3.0 {
            self.suspicious = 0;
            self.state = State::Test { back: self.limit, n, g: shown.g };
            self.set((n / 3.0).max(1.0));
            self.starting = false;
            return;
        }
        if shown.timeouts > 0.05 * shown.members && q > target / 2.0 {
            self.starting = false;
            self.set(0.85 * self.limit.min(n));
            return;
        }
        if shown.pressed {
            self.pressed += 1;
        }
        let busy = n * r0 / r;
        let dead = if self.starting || !shown.pressed { 2.0 } else { 0.5 };
        let excess = q - target - dead * busy * spread;
        if excess > 0.0 {
            self.thrust = 1.0;
            let share = (0.35 + 0.65 * (excess / target)).min(1.0);
            let from = if self.starting { n } else { self.limit.min(1.5 * n) };
            self.starting = false;
            self.before_blackout = None;
            self.set((from - share * excess).max(0.6 * self.limit.min(2.0 * n)));
        } else if shown.pressed && q < target {
            self.grow(q, target);
        }
        if self.pressed >= 4
            && self.dip_at.is_none_or(|at| now >= at)
            && !self.starting
            && self.limit >= 2.0
        {
            self.pressed = 0;
            self.dip_at = Some(now + Duration::from_secs_f64(self.dip_wait.max(64.0 * r)));
            self.dip_wait = (2.0 * self.dip_wait).min(60.0);
            self.state = State::Dip { back: self.limit };
            let busy = n * r0 / r;
            self.set((0.6 * busy).max(1.0));
        }
    }

    fn grow(&mut self, q: f64, target: f64) {
        let limit = self.limit;
        if let Some(before) = self.before_blackout {
            if limit * 2.0 >= before {
                self.before_blackout = None;
                self.set(before);
            } else {
                self.set(limit * 2.0);
            }
            return;
        }
        if let Some(level) = self.overload_level
            && limit >= 0.95 * level
        {
            self.set(limit * 1.01 + 0.01);
            self.overload_level = Some(level * 1.01);
            return;
        }
        if self.starting {
            self.set(limit * 2.0);
            return;
        }
        let room = ((target - q) / target).clamp(0.0, 1.0);
        let step = target * room * (0.35 + 0.65 * room) * self.thrust;
        self.thrust = if room > 0.7 { (self.thrust * 1.5).min(4.0) } else { 1.0 };
        self.set((limit + step).min(1.5 * limit.max(2.0)));
    }

    fn drops(&mut self, shown: &Shown) -> bool {
        let share = shown.overloads / shown.members.max(1.0);
        if shown.overloads >= 3.0 && share > 0.1 {
            self.overload_level = Some(self.limit.min(shown.n));
            self.starting = false;
            self.set(self.limit * (1.0 - share / 2.0));
            return true;
        }
        false
    }

    fn dipped(&mut self, shown: &Shown) {
        let se = self.se(shown.samples);
        let variance = self.spread_of_one();
        let Some(baseline) = &mut self.baseline else { return };
        if shown.samples < 8.0 {
            return;
        }
        let spread = se.hypot((variance / baseline.samples).sqrt());
        let below = (baseline.g - shown.g) / spread;
        if below > 2.5 {
            match self.dip_low.take() {
                None if below < 4.5 => {
                    self.dip_low = Some(shown.g);
                    self.dip_at = None;
                    self.pressed = 4;
                }
                other => {
                    let g = other
                        .map_or(shown.g + se, |other| other.midpoint(shown.g) + 0.5 * se)
                        .min(baseline.g);
                    *baseline = Baseline {
                        g,
                        samples: 2.0 * shown.samples,
                        floor: g.min(baseline.floor),
                        variance: shown.variance,
                    };
                }
            }
            return;
        }
        self.dip_low = None;
        if shown.g > baseline.floor + 1.5_f64.ln() {
            if below < -1.5 {
                match self.dip_high.take() {
                    None => {
                        self.dip_high = Some(shown.g);
                        self.dip_at = None;
                        self.pressed = 0;
                    }
                    Some(other) => {
                        let g = other.midpoint(shown.g);
                        *baseline = Baseline {
                            g,
                            samples: 2.0 * shown.samples,
                            floor: g,
                            variance: shown.variance,
                        };
                    }
                }
            }
        } else {
            self.dip_high = None;
            let weight = if (shown.g - baseline.g) / spread > 2.5 {
                1.0
            } else {
                shown.samples / (shown.samples + baseline.samples.min(300.0))
            };
            baseline.g += weight * (shown.g - baseline.g);
            baseline.variance += weight * (shown.variance - baseline.variance);
            baseline.samples = (baseline.samples + shown.samples).min(2000.0);
        }
    }

    fn tested(&mut self, shown: &Shown, back: f64, n1: f64, g1: f64) {
        self.test_pause = self.test_wait;
        self.test_wait = (self.test_wait * 2).min(64);
        let (r1, r2) = (g1.exp(), shown.g.exp());
        let r0 = self.r0();
        let x = n1 / r1;
        let line = (shown.n / x).max(r0);
        let se = self.se(shown.samples);
        if r2 > 1.5 * line && (r2 / line).ln() > 2.5 * se {
            self.baseline = Some(Baseline {
                g: shown.g,
                samples: shown.samples,
                floor: shown.g,
                variance: shown.variance,
            });
            let busy = x * r2;
            self.set(busy + target(busy));
            self.dip_wait = 5.0;
            self.dip_at = None;
            self.test_wait = 2;
        } else {
            let busy = (n1 * r0 / r1).max(1.0);
            self.set((busy + target(busy)).max(0.6 * back).min(back));
        }
    }
}

fn target(n: f64) -> f64 {
    1.3 * n.sqrt() + 0.05 * n
}

impl Algorithm for Cohort {
    fn begin(&mut self, range: Range) {
        #[allow(clippy::cast_precision_loss)]
        let bounds = (range.min as f64, range.max as f64);
        self.range = bounds;
        self.set(range.initial.map_or(8.0, |n| n as f64));
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        let wanted = self.wanted();
        let target = self.limit;
        let drained = self.state == State::Usual || call.in_flight as f64 <= target.max(1.0);
        let stale = Duration::from_secs_f64((20.0 * self.r0()).clamp(2.0, 1e6));
        let patience = Duration::from_secs_f64((10.0 * self.r0()).clamp(1.0, 10.0));
        let members = self.members.get_or_insert_with(|| Members::new(call.now));
        if self.waiting {
            if call.now.saturating_duration_since(members.idle_since()) > stale {
                self.waiting = false;
            } else if members.room() > 0 {
                let mark = members.admit(call.now, call.in_flight);
                if members.room() == 0 {
                    self.taken_in();
                }
                return Some(mark);
            } else if members.is_complete(call.now, patience) {
                self.complete(call.now);
                return None;
            } else {
                return None;
            }
        }
        if !drained {
            return None;
        }
        let members = self.members.as_mut()?;
        members.open(call.now, wanted);
        self.waiting = true;
        Some(members.admit(call.now, call.in_flight))
    }

    fn ended(&mut self, call: &Ended) {
        let patience = Duration::from_secs_f64((10.0 * self.r0()).clamp(1.0, 10.0));
        let Some(members) = &mut self.members else { return };
        if !self.waiting {
            return;
        }
        members.pressed |= call.pressed;
        if members.end(call) && members.is_complete(call.now, patience) {
            self.complete(call.now);
        }
    }

    fn skip(&self) -> u32 {
        match &self.members {
            Some(members) if self.waiting && members.room() == 0 => 16,
            _ => 0,
        }
    }
}
