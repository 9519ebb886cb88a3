//! The naive model: keeps the whole history, and recounts it at every step.

use std::time::Duration;

use crate::circuit_breaker::state::Machine;
use crate::circuit_breaker::ticket::{Role, Ticket};
use crate::circuit_breaker::{Config, Phase, Window};
use crate::classify::Class;
use crate::time::Instant;

/// Everything that ever happened in the present state, and nothing derived from it.
pub(super) struct Model {
    pub(super) config: Config,
    pub(super) phase: Phase,
    pub(super) generation: u64,
    pub(super) origin: Instant,
    pub(super) since: Instant,
    /// Every outcome since the window was last cleared: when, failed, slow.
    pub(super) history: Vec<(Instant, bool, bool)>,
    /// Since the present closed state began.
    pub(super) recorded: usize,
    pub(super) streak: u32,
    pub(super) openings: u32,
    pub(super) until: Instant,
    pub(super) probes: Vec<Probe>,
    /// Closed by itself, and not by an operator: the share that is admitted grows.
    pub(super) ramping: bool,
    pub(super) succeeded: u32,
}

/// A call, or with gate mode a slot that is kept for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) ticket: Ticket,
    pub(super) since: Instant,
    pub(super) reserved: bool,
}

impl Model {
    pub(super) fn new(config: Config, now: Instant) -> Self {
        Self {
            config,
            phase: Phase::Closed,
            generation: 0,
            origin: now,
            since: now,
            history: Vec::new(),
            recorded: 0,
            streak: 0,
            openings: 0,
            until: now,
            probes: Vec::new(),
            ramping: false,
            succeeded: 0,
        }
    }

    pub(super) fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.generation += 1;
        self.since = now;
        self.probes.clear();
        self.succeeded = 0;
        self.recorded = 0;
        self.ramping = false;
    }

    pub(super) fn close(&mut self, now: Instant) {
        self.history.clear();
        self.origin = now;
        self.streak = 0;
        self.enter(Phase::Closed, now);
        self.ramping = self.config.ramp.is_some();
    }

    /// While the share that is admitted grows: how long it still does.
    pub(super) fn ramps_for(&self, now: Instant) -> Option<Duration> {
        let ramp = self.config.ramp.filter(|_| self.ramping)?;
        ramp.checked_sub(now - self.since).filter(|left| !left.is_zero())
    }

    /// Opens, and takes over the drawn end once it has been found to be within its bounds.
    pub(super) fn open(&mut self, at: Instant, hint: Option<Duration>, machine: &mut Machine) {
        let stable = self.phase == Phase::Closed
            && match self.config.window {
                Window::Count(size) => self.recorded > size as usize,
                Window::Time(span) => at - self.since >= span,
            };
        self.openings = if stable { 1 } else { self.openings + 1 };
        let max = self.config.open_for_at_most.unwrap();
        let mut grown = self.config.open_for;
        for _ in 1..self.openings.min(40) {
            grown = max.min(grown * 2);
        }
        self.enter(Phase::Open, at);
        let left = machine.snapshot(at).until.unwrap_or_default();
        let hint = hint.unwrap_or_default();
        let (low, high) = ((grown / 2).max(hint).min(max), grown.max(hint).min(max));
        assert!(low <= left && left <= high, "open for {left:?}, not {low:?} to {high:?}");
        self.until = at + left;
    }

    pub(super) fn pass_time(&mut self, now: Instant, machine: &mut Machine) {
        let limit = self.half_open_for();
        self.probes.retain(|probe| !probe.reserved || probe.since + limit > now);
        let calls = self.probes.iter().filter(|probe| !probe.reserved);
        if let Some(due) = calls.map(|probe| probe.since + limit).min()
            && due <= now
        {
            self.open(due, None, machine);
        }
    }

    /// A call comes; an open circuit whose time is over is half open by that.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        if self.phase == Phase::Open && self.until <= now {
            self.enter(Phase::HalfOpen, now);
        }
        match self.phase {
            Phase::Closed | Phase::Disabled => true,
            Phase::Open | Phase::ForcedOpen => false,
            Phase::HalfOpen => self.probes.len() < self.config.probes as usize,
        }
    }

    /// How long a call that is not admitted is told to wait.
    pub(super) fn refused_for(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Open => Some(self.until - now),
            Phase::HalfOpen => {
                let oldest = self.probes.iter().map(|probe| probe.since).min()?;
                Some(oldest + self.half_open_for() - now)
            }
            _ => None,
        }
    }

    fn half_open_for(&self) -> Duration {
        self.config.half_open_for.unwrap_or(self.config.open_for)
    }

    pub(super) fn take_back(&mut self, ticket: Ticket) {
        self.probes.retain(|probe| probe.ticket != ticket);
    }

    pub(super) fn totals(&self, now: Instant) -> (u64, u64, u64) {
        let inside: Vec<_> = match self.config.window {
            Window::Count(size) => self.history.iter().rev().take(size as usize).collect(),
            Window::Time(span) => {
                let width = (span / 10).as_nanos();
                let bucket = |at: Instant| (at - self.origin).as_nanos() / width;
                let oldest = (bucket(now) + 1).saturating_sub(10);
                self.history.iter().filter(|(at, ..)| bucket(*at) >= oldest).collect()
            }
        };
        let count = |of: fn(&(Instant, bool, bool)) -> bool| {
            inside.iter().filter(|outcome| of(outcome)).count() as u64
        };
        (inside.len() as u64, count(|o| o.1), count(|o| o.2))
    }

    pub(super) fn trips(&self, now: Instant) -> bool {
        let Config { failure_rate, consecutive_failures, slow_calls, .. } = &self.config;
        let none = failure_rate.is_none() && consecutive_failures.is_none() && slow_calls.is_none();
        let minimum = match self.config.window {
            Window::Count(size) => size.min(self.config.minimum_calls),
            Window::Time(_) => self.config.minimum_calls,
        };
        let (calls, failed, slow) = self.totals(now);
        #[allow(clippy::cast_precision_loss)]
        let reached = |part: u64, rate: f64| part as f64 / calls as f64 >= rate - 1e-9;
        let rate = failure_rate.or(none.then_some(0.5));
        consecutive_failures.is_some_and(|limit| self.streak >= limit)
            || calls >= u64::from(minimum)
                && (rate.is_some_and(|rate| reached(failed, rate))
                    || slow_calls.is_some_and(|limit| reached(slow, limit.rate)))
    }

    pub(super) fn keeps_window(&self) -> bool {
        let Config { failure_rate, consecutive_failures, slow_calls, window, .. } = &self.config;
        !(failure_rate.is_none()
            && slow_calls.is_none()
            && consecutive_failures.is_some()
            && matches!(window, Window::Time(_)))
    }

    pub(super) fn settle(
        &mut self,
        now: Instant,
        ticket: Ticket,
        class: Class,
        latency: Duration,
        machine: &mut Machine,
    ) {
        if class == Class::Ignore {
            self.take_back(ticket);
            return;
        }
        let failed = matches!(class, Class::Transient | Class::Overload { .. });
        let slow = self.config.slow_calls.is_some_and(|limit| latency > limit.longer_than);
        let hint = if let Class::Overload { retry_after } = class { retry_after } else { None };
        if let Role::Probe(_) = ticket.role {
            self.take_back(ticket);
            if failed || slow {
                self.open(now, hint, machine);
            } else {
                self.succeeded += 1;
                if self.succeeded == self.config.close_after {
                    self.close(now);
                }
            }
            return;
        }
        match class {
            Class::Transient => self.streak += 1,
            Class::Overload { .. } => {}
            _ => self.streak = 0,
        }
        if self.keeps_window() {
            self.history.push((now, failed, slow));
        }
        if self.phase == Phase::Closed {
            self.recorded += 1;
            if self.trips(now) {
                self.open(now, hint, machine);
            }
        }
    }
}
