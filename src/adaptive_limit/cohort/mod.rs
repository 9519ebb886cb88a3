//! [`Cohort`]: the default algorithm.

mod baseline;
mod members;
mod probes;
mod reading;
mod steps;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use self::baseline::{Baseline, Noise};
use self::members::{Members, Shown};
use self::probes::{Probe, Probes};
use self::reading::Reading;
use self::steps::Steps;
use crate::adaptive_limit::{Admitted, Algorithm, Ended, Range};

/// The default algorithm: keeps a short queue at the service, by Little's law, and distrusts what
/// it believes about it.
///
/// # How it works
///
/// Calls are watched in *cohorts* of consecutive ones. A cohort shows how many calls were in flight
/// as its members came, `n`, and their latency, `R`, as a geometric mean. `R0` is what a call takes
/// that does not wait: the *baseline*. By Little's law `n * (1 - R0 / R)` of the calls in flight
/// wait, and this is to be about `1.2 * sqrt(n) + 0.05 * n`: less, and the service runs idle
/// between calls, more only makes calls slower. Once in a cohort the limit moves towards that. It
/// grows only if somebody was refused: a limit that holds back nobody has proved nothing.
///
/// Everything hangs on the baseline. It falls on statistical evidence, and rises while the limit is
/// not in use. Under lasting load two experiments keep it true, each a small cohort:
///
/// - A *dip*, every few seconds up to a minute, runs at somewhat more than half the concurrency
///   that does the work, where nobody waits, to see the baseline itself.
/// - A *test*, when latency stays far above what the limit should have led to: a third of the calls
///   in flight. If all of `R` is queueing, latency falls with them; if it does not, the service or
///   the way to it has become slower, and the baseline is wrong, not the limit.
///
/// Timeouts and overload answers cut the limit by themselves. After a blackout, in which nearly
/// all calls time out, it doubles back to where it was.
///
/// # What it costs
///
/// Two readings of the clock for each member of a cohort. Of the calls under a limit that is not
/// in use about one in eight is a member, one in sixteen where the limit is four times what is in
/// use; of those under one that is in use about three in four.
/// Memory for the longest cohort, 2,000 members, is 32 kB.
///
/// # What it cannot do
///
/// To several limits before one server each other's calls look like a slower service. They share it
/// within a factor of two or so, and not exactly. A server that slows down with every call it has in
/// work, without a knee, is held at lower concurrency than the one of its best throughput.
///
/// Sources: J. D. C. Little, *A Proof for the Queuing Formula L = λW* (1961), for the queue; S. Halfin,
/// W. Whitt, *Heavy-Traffic Limits for Queues with Many Exponential Servers* (1981), for its square
/// root. The constants come from the workloads of `cargo run --example simulate -- adaptive`.
#[derive(Clone, Debug)]
pub struct Cohort {
    steps: Steps,
    members: Option<Members>,
    probe: Probe,
    probes: Probes,
    noise: Noise,
    baseline: Option<Baseline>,
    /// Calls to let pass before the next cohort.
    gap: u32,
    /// How long to wait for the last tenth of the cohort that is open, and how long a silence makes
    /// it say nothing about now. Worked out as it opens, and not for every call.
    patience: Duration,
    stale_after: Duration,
}

impl Cohort {
    /// With a limit of 8 to begin with, where none is given.
    #[must_use]
    pub fn new() -> Self {
        Self {
            steps: Steps::new(),
            members: None,
            probe: Probe::None,
            probes: Probes::new(),
            noise: Noise::default(),
            baseline: None,
            gap: 0,
            patience: Duration::ZERO,
            stale_after: Duration::ZERO,
        }
    }

    /// What a call takes that does not wait, in seconds; before anything is known, a tenth.
    fn no_load(&self) -> f64 {
        self.baseline.map_or(0.1, |baseline| baseline.seconds())
    }

    /// How many calls the next cohort has.
    fn wanted(&self) -> usize {
        let members = match self.probe {
            Probe::None if self.steps.starting => self.steps.limit.clamp(8.0, 2000.0),
            // Three times over, but not for more than half a second: slow calls are few.
            Probe::None => {
                let times = (0.5 / self.no_load()).clamp(1.0, 3.0);
                (times * self.steps.limit).clamp(16.0, 2000.0)
            }
            Probe::Dip { back } | Probe::Test { back, .. } => {
                let least = if back < 16.0 { 16.0 } else { 32.0 };
                (back / 4.0).clamp(least, 250.0)
            }
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        return members as usize;
    }

    fn complete(&mut self, now: Instant) {
        let Some(members) = &mut self.members else { return };
        let shown = members.close(now);
        match std::mem::replace(&mut self.probe, Probe::None) {
            Probe::None => self.steady(now, &shown),
            Probe::Dip { back } => {
                self.steps.set(back);
                self.dipped(&shown);
            }
            Probe::Test { back, n, latency } => self.tested(&shown, back, n, latency),
        }
    }

    /// A cohort at the limit itself, or below it where nobody presses.
    fn steady(&mut self, now: Instant, shown: &Shown) {
        if shown.samples < 4.0 {
            self.steps.overloaded(shown);
            return;
        }
        self.noise.follow(shown);
        let (noise, limit) = (self.noise, self.steps.limit);
        let baseline = self.baseline.get_or_insert_with(|| Baseline::new(shown));
        baseline.watch(shown, noise, self.steps.starting, limit);
        let reading = Reading::new(shown, baseline, noise);
        if self.steps.overloaded(shown) || self.steps.blacked_out(shown) {
            return;
        }
        if self.probes.wants_test(&reading, self.steps.starting) {
            let Reading { n, latency, .. } = reading;
            self.probe = Probe::Test { back: self.steps.limit, n, latency };
            self.steps.set(n / 3.0);
            return;
        }
        if self.steps.timed_out(shown, &reading) {
            return;
        }
        if self.steps.balance(shown, &reading) {
            self.probes.forget_suspicion();
        }
        if self.steps.starting || self.steps.limit < 2.0 {
            self.probes.count(shown);
        } else if self.probes.wants_dip(now, shown, &reading, limit) {
            self.probe = Probe::Dip { back: self.steps.limit };
            self.steps.set(0.6 * reading.busy);
        }
        let calm = !shown.pressed && reading.queue <= reading.target;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        if calm && self.probe == Probe::None {
            // Far below the limit there is the more time to find out that it has become too high.
            let parts = if shown.n < limit / 4.0 { 15 } else { 7 };
            self.gap = parts * shown.members as u32;
        }
    }

    /// What a dip has shown moves the baseline, or calls for another dip.
    fn dipped(&mut self, shown: &Shown) {
        let Some(baseline) = &mut self.baseline else { return };
        if let Some(urgency) = baseline.dipped(shown, self.noise) {
            self.probes.again(urgency);
        }
    }

    /// If all were queueing, latency would have fallen with the calls in flight, on a line through
    /// zero. Far above that line it does not answer to us.
    fn tested(&mut self, shown: &Shown, back: f64, n: f64, latency: f64) {
        let throughput = n / latency;
        let line = (shown.n / throughput).max(self.no_load());
        let above = shown.g - line.ln();
        let error = self.noise.error(shown.samples, self.baseline.as_ref());
        if above > 1.5_f64.ln() && above > 2.5 * error {
            self.baseline = Some(Baseline::new(shown));
            let busy = throughput * shown.g.exp();
            self.steps.set(busy + reading::target(busy));
            self.probes.changed();
        } else {
            let busy = (throughput * self.no_load()).max(1.0);
            self.steps.set((busy + reading::target(busy)).max(0.6 * back).min(back));
            self.probes.in_vain();
        }
    }

    /// Every member of a small cohort is on its way: whoever comes now does not delay it.
    fn taken_in(&mut self) {
        if let Probe::Dip { back } | Probe::Test { back, .. } = self.probe {
            self.steps.set(back);
        }
    }

    /// Gives up a cohort that has become stale, and the experiment that it was.
    fn give_up(&mut self) {
        self.taken_in();
        self.probe = Probe::None;
        if let Some(members) = &mut self.members {
            members.abandon();
        }
    }
}

impl Default for Cohort {
    fn default() -> Self {
        Self::new()
    }
}

impl Algorithm for Cohort {
    fn begin(&mut self, range: Range) {
        self.steps.begin(range);
    }

    fn limit(&self) -> f64 {
        self.steps.limit
    }

    fn usual_limit(&self) -> f64 {
        match self.probe {
            Probe::None => self.steps.limit,
            Probe::Dip { back } | Probe::Test { back, .. } => back,
        }
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        self.gap = 0;
        let (patience, stale) = (self.patience, self.stale_after);
        let members = self.members.get_or_insert_with(|| Members::new(call.now));
        if members.is_open() {
            let idle = call.now.saturating_duration_since(members.last_heard());
            if idle > stale {
                self.give_up();
            } else if members.room() > 0 {
                let mark = members.admit(call.now, call.in_flight);
                if members.room() == 0 {
                    self.taken_in();
                }
                return Some(mark);
            } else {
                if members.is_complete(call.now, patience) {
                    self.complete(call.now);
                }
                return None;
            }
        }
        // An experiment begins when those of before have left.
        #[allow(clippy::cast_precision_loss)]
        if self.probe != Probe::None && call.in_flight as f64 > self.steps.limit {
            return None;
        }
        let wanted = self.wanted();
        let no_load = self.no_load();
        self.patience = Duration::from_secs_f64((10.0 * no_load).clamp(1.0, 10.0));
        self.stale_after = Duration::from_secs_f64((20.0 * no_load).clamp(2.0, 3600.0));
        let members = self.members.as_mut()?;
        members.open(call.now, wanted);
        Some(members.admit(call.now, call.in_flight))
    }

    fn ended(&mut self, call: &Ended) {
        let patience = self.patience;
        let Some(members) = &mut self.members else { return };
        if members.end(call) && members.is_complete(call.now, patience) {
            self.complete(call.now);
        }
    }

    fn skip(&self) -> u32 {
        match &self.members {
            // Who comes while the last members are out tells only how late it is.
            Some(members) if members.is_open() && members.room() == 0 => 16,
            _ => self.gap,
        }
    }
}
