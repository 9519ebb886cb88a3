//! [`ThrottleConfig`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::config::{ConfigError, check};

/// The settings of a [`ThrottleLayer`](super::ThrottleLayer). With feature `serde`, readable from a
/// file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ThrottleConfig {
    /// K: refusing starts where the requests are so many times the accepts. Default: 2.
    pub multiplier: f64,
    /// How long a request counts. Default: 2 min.
    pub window: Duration,
    /// Requests per second that pass in any case. Default: 1.
    pub floor: f64,
    /// Decide, count and report, but refuse nobody. Default: `false`.
    pub shadow: bool,
    /// The name of the instance. Default: `throttle`.
    pub name: Option<String>,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        let window = Duration::from_secs(120);
        Self { multiplier: 2.0, window, floor: 1.0, shadow: false, name: None }
    }
}

impl ThrottleConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        // Below 1 a service that accepts everything would be throttled.
        let multiplier = self.multiplier.is_finite() && self.multiplier >= 1.0;
        check(multiplier, "throttle.multiplier", self.multiplier, "1 or more")?;
        let window = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
        check(window.contains(&self.window), "throttle.window", self.window, "1 s to 24 h")?;
        let floor = self.floor.is_finite() && self.floor >= 0.0;
        check(floor, "throttle.floor", self.floor, "0 or more")
    }
}
