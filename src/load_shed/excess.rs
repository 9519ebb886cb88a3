//! [`Excess`]: by how much the load is more than the inner service takes.

use std::time::Duration;

use crate::time::{self, Instant};

/// What the calls of the last window say: `1 - served / came`, if any had to be refused for want of
/// a ready inner service. Pure: told who comes, and when.
///
/// Calls refused by their priority count as having come, so the figure stays true while it is
/// acted upon. Once nobody has had to be refused it falls by a tenth with each window: by that
/// little is the load too much when it is tried whether there is room again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Excess {
    window: Duration,
    until: Instant,
    came: u32,
    served: u32,
    /// Somebody found no room.
    pressed: bool,
    level: f64,
}

/// A window with fewer calls goes on: one refused call of two is no figure.
const FEW: u32 = 20;

/// Below this the level is none.
const NONE: f64 = 0.005;

impl Excess {
    pub(super) fn new(window: Duration, now: Instant) -> Self {
        let until = time::later(now, window);
        Self { window, until, came: 0, served: 0, pressed: false, level: 0.0 }
    }

    /// The level now, from 0 to 1.
    pub(super) fn level(&mut self, now: Instant) -> f64 {
        self.turn(now);
        self.level
    }

    /// A call came.
    pub(super) fn came(&mut self, now: Instant) {
        self.turn(now);
        self.came = self.came.saturating_add(1);
    }

    /// A call went to the inner service.
    pub(super) fn served(&mut self) {
        self.served = self.served.saturating_add(1);
    }

    /// A call was refused for want of room.
    pub(super) fn pressed(&mut self) {
        self.pressed = true;
    }

    fn turn(&mut self, now: Instant) {
        if now < self.until {
            return;
        }
        if self.pressed && self.came < FEW && now < time::later(self.until, 9 * self.window) {
            return;
        }
        if self.pressed && self.came > 0 {
            // Those that waited may have come in the window before.
            let served = f64::from(self.served.min(self.came));
            self.level = 1.0 - served / f64::from(self.came);
        } else {
            self.level = self.decayed(now);
        }
        self.until = time::later(now, self.window);
        (self.came, self.served, self.pressed) = (0, 0, false);
    }

    /// A tenth less for each window that has passed.
    fn decayed(&self, now: Instant) -> f64 {
        let late = now.saturating_duration_since(self.until).as_secs_f64();
        let level = self.level * 0.9_f64.powf(1.0 + (late / self.window.as_secs_f64()).floor());
        if level < NONE { 0.0 } else { level }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn window(excess: &mut Excess, now: Instant, came: u32, served: u32) {
        (0..came).for_each(|_| excess.came(now));
        (0..served).for_each(|_| excess.served());
        if served < came {
            excess.pressed();
        }
    }

    #[track_caller]
    fn assert_level(excess: &mut Excess, now: Instant, level: f64) {
        let found = excess.level(now);
        assert!((found - level).abs() < 1e-9, "{found} instead of {level}");
    }

    #[test]
    fn it_is_the_share_that_found_no_room_in_the_window_before() {
        let start = time::now();
        let mut excess = Excess::new(100 * MS, start);
        // Ten windows of healthy traffic first.
        for round in 0..10 {
            window(&mut excess, start + round * 100 * MS, 100, 100);
        }
        window(&mut excess, start + 1000 * MS, 100, 80);
        assert_level(&mut excess, start + 1099 * MS, 0.0);
        assert_level(&mut excess, start + 1100 * MS, 0.2);
    }

    #[test]
    fn it_falls_by_a_tenth_with_each_window_in_which_nobody_was_refused() {
        let start = time::now();
        let mut excess = Excess::new(100 * MS, start);
        window(&mut excess, start, 100, 20);
        assert_level(&mut excess, start + 100 * MS, 0.8);
        window(&mut excess, start + 100 * MS, 100, 100);
        assert_level(&mut excess, start + 200 * MS, 0.72);
        assert_level(&mut excess, start + 450 * MS, 0.72 * 0.81);
        assert_level(&mut excess, start + 8000 * MS, 0.0);
    }

    #[test]
    fn a_handful_of_calls_is_no_figure_until_ten_windows_have_passed() {
        let start = time::now();
        let mut excess = Excess::new(100 * MS, start);
        window(&mut excess, start, 2, 1);
        assert_level(&mut excess, start + 100 * MS, 0.0);
        assert_level(&mut excess, start + 999 * MS, 0.0);
        assert_level(&mut excess, start + 1000 * MS, 0.5);
    }
}
