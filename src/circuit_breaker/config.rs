//! [`Config`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::config::{ConfigError, at_least_one, check, not_zero, share};
use crate::window::Window;

/// The settings of a circuit breaker. With feature `serde`, readable from a file.
///
/// Without any of the three trips the rate trip is on, at 0.5.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Opens when this share of the calls in the window failed. More than 0, at most 1.
    pub failure_rate: Option<f64>,
    /// Opens after this many failures in a row.
    pub consecutive_failures: Option<u32>,
    /// Opens when too large a share of the calls is too slow.
    pub slow_calls: Option<SlowCalls>,
    /// What the rates are taken over. Default: 10 s.
    pub window: Window,
    /// No rate trips before the window holds so many calls. Default: 20.
    pub minimum_calls: u32,
    /// How long the first opening lasts. Default: 5 s.
    pub open_for: Duration,
    /// How long any opening lasts at most. Default: 5 min, or `open_for` if that is longer.
    pub open_for_at_most: Option<Duration>,
    /// Probes in flight at most while half open. Default: 3.
    pub probes: u32,
    /// Successful probes that close the circuit. Default: 3.
    pub close_after: u32,
    /// How long a probe may be out. Default: `open_for`.
    pub half_open_for: Option<Duration>,
    /// How long the admitted share grows, from 1/8 to all, after closing. Default: not at all.
    pub ramp: Option<Duration>,
    /// `poll_ready` is pending while the circuit is open, for balancers. Default: `false`.
    pub gate: bool,
    /// Decide, count and report, but never refuse. Default: `false`.
    pub shadow: bool,
    /// The name of the instance. Default: `circuit_breaker`.
    pub name: Option<String>,
}

/// When calls count as slow, and how many may be.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SlowCalls {
    /// A call that took longer than this was slow.
    pub longer_than: Duration,
    /// Opens when this share of the calls in the window was slow. More than 0, at most 1.
    pub rate: f64,
}

impl SlowCalls {
    /// Opens when a share of `rate` of the calls took longer than `longer_than`.
    #[must_use]
    pub fn new(longer_than: Duration, rate: f64) -> Self {
        Self { longer_than, rate }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            failure_rate: None,
            consecutive_failures: None,
            slow_calls: None,
            window: Window::time(Duration::from_secs(10)),
            minimum_calls: 20,
            open_for: Duration::from_secs(5),
            open_for_at_most: None,
            probes: 3,
            close_after: 3,
            half_open_for: None,
            ramp: None,
            gate: false,
            shadow: false,
            name: None,
        }
    }
}

const LONGEST_OPEN: Duration = Duration::from_secs(5 * 60);
const DEFAULT_RATE: f64 = 0.5;

impl Config {
    /// The settings as the machine wants them: checked, resolved, rates in integers.
    pub(super) fn resolve(&self) -> Result<Settings, ConfigError> {
        self.check()?;
        let nothing_named = self.failure_rate.is_none()
            && self.consecutive_failures.is_none()
            && self.slow_calls.is_none();
        let failure_rate = self.failure_rate.or(nothing_named.then_some(DEFAULT_RATE));
        Ok(Settings {
            failure_rate: failure_rate.map(Share::new),
            consecutive: self.consecutive_failures,
            slow: self.slow_calls.map(|slow| (slow.longer_than, Share::new(slow.rate))),
            window: self.window,
            minimum_calls: match self.window {
                // Or a count window smaller than the minimum could never open.
                Window::Count(size) => self.minimum_calls.min(size),
                Window::Time(_) => self.minimum_calls,
            },
            open_for: self.open_for,
            open_for_at_most: self.open_for_at_most.unwrap_or(LONGEST_OPEN.max(self.open_for)),
            probes: self.probes,
            close_after: self.close_after,
            half_open_for: self.half_open_for.unwrap_or(self.open_for),
            ramp: self.ramp,
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        if let Some(rate) = self.failure_rate {
            share("circuit_breaker.failure_rate", rate)?;
        }
        if let Some(failures) = self.consecutive_failures {
            at_least_one("circuit_breaker.consecutive_failures", failures)?;
        }
        if let Some(slow) = self.slow_calls {
            not_zero("circuit_breaker.slow_calls.longer_than", slow.longer_than)?;
            share("circuit_breaker.slow_calls.rate", slow.rate)?;
        }
        self.window.check("circuit_breaker.window")?;
        at_least_one("circuit_breaker.minimum_calls", self.minimum_calls)?;
        not_zero("circuit_breaker.open_for", self.open_for)?;
        if let Some(longest) = self.open_for_at_most {
            let allowed = "at least open_for";
            check(longest >= self.open_for, "circuit_breaker.open_for_at_most", longest, allowed)?;
        }
        // The machine remembers the start of each probe that is out.
        check(
            (1..=100_000).contains(&self.probes),
            "circuit_breaker.probes",
            self.probes,
            "1 to 100,000",
        )?;
        at_least_one("circuit_breaker.close_after", self.close_after)?;
        if let Some(limit) = self.half_open_for {
            not_zero("circuit_breaker.half_open_for", limit)?;
        }
        match self.ramp {
            Some(ramp) => not_zero("circuit_breaker.ramp", ramp),
            None => Ok(()),
        }
    }
}

/// [`Config`], checked and with every default filled in.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) failure_rate: Option<Share>,
    pub(super) consecutive: Option<u32>,
    pub(super) slow: Option<(Duration, Share)>,
    pub(super) window: Window,
    pub(super) minimum_calls: u32,
    pub(super) open_for: Duration,
    pub(super) open_for_at_most: Duration,
    pub(super) probes: u32,
    pub(super) close_after: u32,
    pub(super) half_open_for: Duration,
    pub(super) ramp: Option<Duration>,
}

impl Settings {
    /// Whether every outcome must be recorded. Consecutive failures alone need none: a success
    /// with no failure before it then changes nothing, and costs nothing.
    pub(super) fn keeps_window(&self) -> bool {
        let counted = matches!(self.window, Window::Count(_));
        self.failure_rate.is_some() || self.slow.is_some() || counted
    }
}

/// A share of calls in billionths, so that `3 of 10` reaches `0.3` exactly. As floating point
/// numbers `0.3` and `3.0 / 10.0` need not compare equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share(u64);

impl Share {
    const WHOLE: f64 = 1e9;

    fn new(share: f64) -> Self {
        // Checked before: in (0, 1]. Rounded down, so that two of three reach `2.0 / 3.0`; but not
        // to 0, which no failures at all would reach.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Self(((share * Self::WHOLE) as u64).max(1))
    }

    /// Whether `part / whole >= self`.
    pub(super) fn reached(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 1_000_000_000 >= u128::from(whole) * u128::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_compare_exactly() {
        for size in 1..=1000u64 {
            for part in 1..=size {
                #[allow(clippy::cast_precision_loss)]
                let share = Share::new(part as f64 / size as f64);
                assert!(share.reached(part, size), "{part}/{size}");
                assert!(!share.reached(part - 1, size), "{part}/{size}");
            }
        }
        assert!(Share::new(0.3).reached(3, 10));
        assert!(Share::new(0.1 + 0.2).reached(3, 10));
        assert!(Share::new(1.0).reached(7, 7));
        assert!(!Share::new(1e-12).reached(0, u64::MAX));
    }
}
