//! [`Steps`]: the limit, and how it moves.

use super::members::Shown;
use super::reading::{self, Reading};
use crate::adaptive_limit::Range;
use crate::adaptive_limit::bounds::Bounds;

/// Where none is given.
const INITIAL: f64 = 8.0;

/// The limit, and how it moves.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    pub(super) limit: f64,
    /// It doubles until there is a queue.
    pub(super) starting: bool,
    bounds: Bounds,
    /// How many times as large a step is, while the queue stays empty.
    thrust: f64,
    /// Where the limit was before nearly all calls timed out.
    before_blackout: Option<f64>,
    /// Where the service began to ask for less.
    overload_level: Option<f64>,
}

impl Steps {
    pub(super) fn new() -> Self {
        Self {
            limit: INITIAL,
            starting: true,
            bounds: Bounds::ANY,
            thrust: 1.0,
            before_blackout: None,
            overload_level: None,
        }
    }

    pub(super) fn begin(&mut self, range: Range) {
        (self.bounds, self.limit) = Bounds::begin(range, INITIAL);
    }

    pub(super) fn set(&mut self, limit: f64) {
        self.limit = self.bounds.hold(limit);
    }

    /// More than one in ten asked for less: it goes down by half their share.
    pub(super) fn overloaded(&mut self, shown: &Shown) -> bool {
        let share = shown.overloads / shown.members.max(1.0);
        let overloaded = shown.overloads >= 3.0 && share > 0.1;
        if overloaded {
            self.starting = false;
            self.overload_level = Some(self.limit.min(shown.n));
            self.set(self.limit * (1.0 - share / 2.0));
        }
        overloaded
    }

    /// More than three in ten timed out: whatever it is, there is too much of it.
    pub(super) fn blacked_out(&mut self, shown: &Shown) -> bool {
        let out = shown.timeouts >= 4.0 && shown.timeouts > 0.3 * shown.members;
        if out {
            // What it had doubled to has never been shown to be right.
            let sane = if self.starting { 0.25 * self.limit } else { self.limit };
            self.before_blackout.get_or_insert(sane);
            self.starting = false;
            self.set(0.6 * self.limit);
        }
        out
    }

    /// More than one in twenty timed out, and there is a queue.
    pub(super) fn timed_out(&mut self, shown: &Shown, reading: &Reading) -> bool {
        let too_many = shown.timeouts > 0.05 * shown.members;
        let out = too_many && reading.queue > reading.target / 2.0;
        if out {
            self.starting = false;
            self.set(0.85 * self.limit.min(reading.n));
        }
        out
    }

    /// Moves towards the target. `true` if that ended the start.
    pub(super) fn balance(&mut self, shown: &Shown, reading: &Reading) -> bool {
        let Reading { n, busy, queue, target, error, .. } = *reading;
        // Half of the noise under load, where waiting for certainty would cost latency; more of it
        // where nothing is lost by waiting.
        let doubt = if self.starting || !shown.pressed { 2.0 } else { 0.5 };
        let excess = queue - target - doubt * busy * error;
        let in_use = shown.pressed || n >= self.limit / 2.0;
        if excess > 0.0 && in_use {
            self.thrust = 1.0;
            self.before_blackout = None;
            if self.starting {
                // Doubled beyond what there is: what carries the load is known by now.
                self.starting = false;
                self.set(busy + reading::target(busy));
                return true;
            }
            // The larger the error, the more of it at once.
            let part = (0.35 + 0.65 * excess / target).min(1.0);
            let least = 0.6 * self.limit.min(2.0 * n);
            self.set((self.limit.min(1.5 * n) - part * excess).max(least));
        } else if shown.pressed && queue < target {
            self.grow((target - queue) / target, target);
        }
        false
    }

    /// `room` is the part of the target that is free.
    fn grow(&mut self, room: f64, target: f64) {
        if let Some(before) = self.before_blackout {
            self.before_blackout = (2.0 * self.limit < before).then_some(before);
            self.set((2.0 * self.limit).min(before));
        } else if let Some(level) = self.overload_level.filter(|level| self.limit >= 0.95 * level) {
            self.set(1.01 * self.limit + 0.01);
            self.overload_level = Some(1.01 * level);
        } else if self.starting {
            self.set(2.0 * self.limit);
        } else {
            let step = target * room * (0.35 + 0.65 * room) * self.thrust;
            self.thrust = if room > 0.7 { (1.5 * self.thrust).min(4.0) } else { 1.0 };
            self.set((self.limit + step).min(1.5 * self.limit.max(2.0)));
        }
    }
}
