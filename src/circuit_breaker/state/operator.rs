//! What an operator does to a circuit, and sees of it.

use crate::circuit_breaker::state::{Machine, State};
use crate::circuit_breaker::{Phase, Snapshot};
use crate::time::{self, Instant};
use crate::window::Totals;

impl Machine {
    pub(in crate::circuit_breaker) fn force_open(&mut self, now: Instant, because: String) {
        self.forced_because = Some(because);
        if !matches!(self.state, State::ForcedOpen) {
            self.enter(now, State::ForcedOpen);
        }
    }

    pub(in crate::circuit_breaker) fn disable(&mut self, now: Instant) {
        if !matches!(self.state, State::Disabled) {
            self.enter(now, State::Disabled);
        }
    }

    /// Leaves an operator's state for the closed one, and does nothing in any other. What was
    /// counted while disabled still counts.
    pub(in crate::circuit_breaker) fn auto(&mut self, now: Instant) {
        match self.state {
            State::Disabled => self.enter(now, State::Closed { recorded: 0, ramping: false }),
            State::ForcedOpen => self.close(now),
            _ => {}
        }
    }

    /// Back to the beginning, from any state: closed, with nothing counted.
    pub(in crate::circuit_breaker) fn reset(&mut self, now: Instant) {
        self.openings = 0;
        self.last_failure = None;
        self.close(now);
        if let State::Closed { ramping, .. } = &mut self.state {
            *ramping = false;
        }
    }

    pub(in crate::circuit_breaker) fn snapshot(&mut self, now: Instant) -> Snapshot {
        let totals = self.window.totals(now);
        Snapshot {
            phase: self.phase(),
            since: now.saturating_duration_since(self.since),
            until: self.open_until().map(|until| until.saturating_duration_since(now)),
            openings: self.openings,
            calls: totals.calls,
            failed: totals.failed,
            slow: totals.slow,
            failure_rate: rate(totals.failed, totals),
            slow_rate: rate(totals.slow, totals),
            consecutive_failures: self.streak,
            last_failure: self.last_failure,
            forced_because: self.forced_because.clone(),
        }
    }

    /// Takes over the state of another machine. Times that make no sense here are cut to the
    /// longest open time.
    pub(in crate::circuit_breaker) fn hydrate(&mut self, now: Instant, snapshot: &Snapshot) {
        self.openings = snapshot.openings;
        self.last_failure = snapshot.last_failure;
        let left = snapshot.until.unwrap_or_default().min(self.settings.open_for_at_most);
        match snapshot.phase {
            Phase::Closed => self.close(now),
            Phase::Disabled => self.disable(now),
            Phase::ForcedOpen => {
                self.force_open(now, snapshot.forced_because.clone().unwrap_or_default());
            }
            // The probes that were out are not ours: the next call here is the first probe.
            Phase::HalfOpen => self.enter(now, State::Open { until: now }),
            Phase::Open => self.enter(now, State::Open { until: time::later(now, left) }),
        }
        if let Some(since) = now.checked_sub(snapshot.since) {
            self.since = since;
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn rate(part: u64, totals: Totals) -> f64 {
    if totals.calls == 0 { 0.0 } else { part as f64 / totals.calls as f64 }
}
