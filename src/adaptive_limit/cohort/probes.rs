//! [`Probes`]: when the baseline is put to the test.

use std::time::Duration;

use tokio::time::Instant;

use super::members::Shown;
use super::reading::Reading;

/// The experiment that is under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Probe {
    None,
    /// Below the concurrency that does the work, to see the baseline; then `back`.
    Dip {
        back: f64,
    },
    /// At a third of it, to see whether latency answers; before that it was `n` and `latency`.
    Test {
        back: f64,
        n: f64,
        latency: f64,
    },
}

/// How soon a dip is to be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    AtOnce,
    /// After four more cohorts.
    Soon,
}

/// When the next experiment is due.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    /// Cohorts in which the limit was pressed, since the last dip.
    pressed: u32,
    dip_at: Option<Instant>,
    /// Seconds until the one after the next dip.
    dip_wait: f64,
    /// Cohorts in a row with more latency than there should be.
    suspicious: u32,
    /// Cohorts to go before a test, and after the next one.
    pause: u32,
    next_pause: u32,
}

impl Probes {
    pub(super) fn new() -> Self {
        Self { pressed: 0, dip_at: None, dip_wait: 5.0, suspicious: 0, pause: 0, next_pause: 2 }
    }

    /// Whether latency has been too high for too long for the limit to be the reason.
    pub(super) fn wants_test(&mut self, reading: &Reading, starting: bool) -> bool {
        let too_high = reading.beyond_target() > 1.2_f64.ln() + 2.0 * reading.error;
        self.suspicious = if too_high { self.suspicious + 1 } else { 0 };
        self.pause = self.pause.saturating_sub(1);
        let due = self.suspicious >= 2 && !starting && self.pause == 0 && reading.n >= 3.0;
        if due {
            self.suspicious = 0;
        }
        due
    }

    pub(super) fn forget_suspicion(&mut self) {
        (self.suspicious, self.pause) = (0, 2);
    }

    /// The test said that there is a queue: it will say so for a while.
    pub(super) fn in_vain(&mut self) {
        self.pause = self.next_pause;
        self.next_pause = (2 * self.next_pause).min(64);
    }

    /// The test said that the service is another one now.
    pub(super) fn changed(&mut self) {
        *self = Self { pause: self.next_pause, ..Self::new() };
    }

    pub(super) fn count(&mut self, shown: &Shown) {
        self.pressed += u32::from(shown.pressed);
    }

    /// Whether the limit has been in use for long enough for the baseline to be looked at again.
    pub(super) fn wants_dip(
        &mut self,
        now: Instant,
        shown: &Shown,
        reading: &Reading,
        limit: f64,
    ) -> bool {
        self.count(shown);
        // Once the load has gone, calm cohorts show the baseline for nothing.
        let in_use = shown.pressed && reading.n >= limit / 2.0;
        let due = in_use && self.pressed >= 4 && self.dip_at.is_none_or(|at| now >= at);
        if due {
            // A dip costs about what a cohort brings.
            let wait = self.dip_wait.max(64.0 * reading.latency).min(3600.0);
            self.pressed = 0;
            self.dip_at = Some(now + Duration::from_secs_f64(wait));
            self.dip_wait = (2.0 * self.dip_wait).min(60.0);
        }
        due
    }

    pub(super) fn again(&mut self, urgency: Urgency) {
        self.dip_at = None;
        self.pressed = match urgency {
            Urgency::AtOnce => 4,
            Urgency::Soon => 0,
        };
    }
}
