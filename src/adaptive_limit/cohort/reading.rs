//! [`Reading`]: what a cohort means, given the baseline.

use super::baseline::{Baseline, Noise};
use super::members::Shown;

/// What a cohort means, given the baseline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Calls in flight.
    pub(super) n: f64,
    /// Of a call, in seconds, as the cohort shows it; what [`Reading::new`] corrects is in
    /// `inflation`.
    pub(super) latency: f64,
    /// Of a call, as a multiple of the baseline; 1 or more.
    pub(super) inflation: f64,
    /// Calls that are being worked on, and calls that wait.
    pub(super) busy: f64,
    pub(super) queue: f64,
    /// How many should wait.
    pub(super) target: f64,
    /// Standard error of the logarithm of the inflation.
    pub(super) error: f64,
}

impl Reading {
    pub(super) fn new(shown: &Shown, baseline: &Baseline, noise: Noise) -> Self {
        let n = shown.n;
        // Little's law asks for arithmetic means, and geometric ones, which a heavy tail does not
        // shake, fall short of them by half the variance of the logarithm if that is normal, and by
        // about a third of it if latency is exponential. Waiting makes latency less varied: the
        // baseline falls short by more, and would have the queue too long.
        let calmer = (baseline.variance - noise.variance()).clamp(0.0, 1.5);
        let inflation = (shown.g - baseline.g - 0.35 * calmer).exp().max(1.0);
        let busy = n / inflation;
        // A queue that drains to nothing within a cohort is a burst, and does not stand.
        let burst = if shown.least < 0.2 * n { 2.0 } else { 1.0 };
        Self {
            n,
            latency: shown.g.exp(),
            inflation,
            busy,
            queue: n - busy,
            target: burst * target(n),
            error: noise.error(shown.samples, Some(baseline)).hypot(noise.of(baseline)),
        }
    }

    /// How far the inflation is above the one that the target would lead to, as a logarithm.
    pub(super) fn beyond_target(&self) -> f64 {
        let allowed = self.n / (self.n - self.target).max(0.1 * self.n);
        (self.inflation / allowed).ln()
    }
}

/// How many of `n` calls in flight should wait, for the service never to run idle.
///
/// The square root is what chance asks for; the linear part covers what is not Poisson. Twice as
/// much is of no use to a single limit, and what sixteen of them before one server cannot have.
pub(super) fn target(n: f64) -> f64 {
    1.2 * n.sqrt() + 0.05 * n
}
