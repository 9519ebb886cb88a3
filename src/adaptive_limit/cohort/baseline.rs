//! [`Baseline`]: what a call takes that does not wait.

use super::members::Shown;
use super::probes::Urgency;

/// What a call takes that does not wait, and how well that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Baseline {
    /// Mean and variance of the logarithm of the latency in seconds.
    pub(super) g: f64,
    pub(super) variance: f64,
    /// How many calls are behind it.
    samples: f64,
    /// The lowest that was believed since the service last became slower: dips lead no further
    /// above it than [`CEILING`]. Without it the queue of others, which dips see, would become the
    /// baseline, and grow.
    floor: f64,
    /// Steady cohorts in a row that were lower.
    lower: u32,
    /// What a dip showed that is to be seen twice before it is believed.
    low_dip: Option<f64>,
    high_dip: Option<f64>,
}

/// `ln(1.5)`.
const CEILING: f64 = 0.405_465_108_108_164_4;

/// More samples than this give way to new ones.
const MEMORY: f64 = 2000.0;

impl Baseline {
    pub(super) fn new(shown: &Shown) -> Self {
        Self {
            g: shown.g,
            variance: shown.variance,
            samples: shown.samples,
            floor: shown.g,
            lower: 0,
            low_dip: None,
            high_dip: None,
        }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.g.exp()
    }

    /// A cohort that was no experiment: its calls may have waited, but not less than not at all.
    pub(super) fn watch(&mut self, shown: &Shown, noise: Noise, starting: bool, limit: f64) {
        let error = noise.error(shown.samples, Some(self));
        let below = (self.g - shown.g) / error.hypot(noise.of(self));
        self.lower = if below > 3.0 { self.lower + 1 } else { 0 };
        if below > 4.5 || self.lower >= 2 {
            // The lowest of many is too low by chance: less a standard error.
            let g = self.g.min(shown.g + error);
            *self = Self { g, floor: self.floor.min(g), lower: 0, ..Self::new(shown) };
        } else if starting && below.abs() < 2.0 {
            self.learn(shown, shown.samples / (shown.samples + self.samples));
            self.floor = self.g;
        } else if !shown.pressed && (shown.n < limit / 2.0 || below.abs() < 2.0) {
            // Nobody waits for a limit that is not in use.
            self.learn(shown, 0.1);
            self.floor = self.g;
        }
    }

    /// A dip, in which nobody waits for calls of ours. What it shows is believed at once if it is
    /// near, and if it is seen twice if it is not. `Some` if it is to be seen again.
    pub(super) fn dipped(&mut self, shown: &Shown, noise: Noise) -> Option<Urgency> {
        if shown.samples < 8.0 {
            return None;
        }
        let error = noise.error(shown.samples, Some(self));
        let above = (shown.g - self.g) / error.hypot(noise.of(self));
        if above < -2.5 {
            self.high_dip = None;
            return match self.low_dip.take() {
                None if above > -4.5 => {
                    self.low_dip = Some(shown.g);
                    Some(Urgency::AtOnce)
                }
                before => {
                    let seen = before.map_or(shown.g, |before| before.midpoint(shown.g));
                    let g = self.g.min(seen + error);
                    self.believe(g, shown, self.floor.min(g));
                    None
                }
            };
        }
        self.low_dip = None;
        if shown.g <= self.floor + CEILING {
            self.high_dip = None;
            let part = shown.samples / (shown.samples + self.samples.min(300.0));
            self.learn(shown, if above > 2.5 { 1.0 } else { part });
            return None;
        }
        if above <= 1.5 {
            return None;
        }
        match self.high_dip.take() {
            None => {
                self.high_dip = Some(shown.g);
                Some(Urgency::Soon)
            }
            Some(before) => {
                let g = before.midpoint(shown.g);
                self.believe(g, shown, g);
                None
            }
        }
    }

    fn learn(&mut self, shown: &Shown, weight: f64) {
        self.g += weight * (shown.g - self.g);
        self.variance += weight * (shown.variance - self.variance);
        self.samples = (self.samples + shown.samples).min(MEMORY);
    }

    /// What two dips have shown.
    fn believe(&mut self, g: f64, shown: &Shown, floor: f64) {
        *self = Self { g, floor, samples: 2.0 * shown.samples, ..Self::new(shown) };
    }
}

/// How much single latencies differ: the running variance of their logarithm.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noise {
    variance: Option<f64>,
}

impl Noise {
    pub(super) fn follow(&mut self, shown: &Shown) {
        let variance = self.variance.get_or_insert(shown.variance);
        *variance += 0.2 * (shown.variance - *variance);
    }

    pub(super) fn variance(self) -> f64 {
        self.variance.unwrap_or(1.0)
    }

    /// The standard error of the mean of so many. Waiting makes latencies alike, so those without
    /// it differ more than those that were seen last.
    pub(super) fn error(self, samples: f64, baseline: Option<&Baseline>) -> f64 {
        let variance = baseline.map_or(0.0, |baseline| baseline.variance).max(self.variance());
        (variance.max(1e-4) / samples.max(1.0)).sqrt()
    }

    /// That of the baseline.
    pub(super) fn of(self, baseline: &Baseline) -> f64 {
        self.error(baseline.samples, Some(baseline))
    }
}
