//! [`Config`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::budget::BudgetConfig;
use crate::config::{ConfigError, check, not_zero};

/// When the second attempt is sent, if the first has not ended by then.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Delay {
    /// After this long. Longer than 0.
    Fixed(Duration),
    /// After as long as this share of the calls takes at most, by the latencies of the last while.
    /// More than 0 and less than 1: with 0.95, one call in twenty is sent twice.
    Percentile(f64),
}

impl Default for Delay {
    fn default() -> Self {
        Self::Percentile(0.95)
    }
}

/// The settings of a hedge. With feature `serde`, readable from a file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// When the second attempt is sent. Default: the 95th percentile.
    pub delay: Delay,
    /// What the percentile is taken over. Default: 60 s.
    pub window: Duration,
    /// The budget. Default: a fifth of the calls over 10 s, and 10 a second in any case.
    pub budget: BudgetConfig,
    /// The name of the instance. Default: `hedge`.
    pub name: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            delay: Delay::default(),
            window: Duration::from_secs(60),
            budget: BudgetConfig::default(),
            name: None,
        }
    }
}

impl Config {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self.delay {
            Delay::Fixed(delay) => not_zero("hedge.delay", delay)?,
            Delay::Percentile(share) => check(
                share > 0.0 && share < 1.0,
                "hedge.delay",
                share,
                "a percentile of more than 0 and less than 1",
            )?,
        }
        // Below, no window would ever hold a hundred calls; above, it would describe another day.
        let (shortest, longest) = (Duration::from_millis(100), Duration::from_secs(24 * 60 * 60));
        let allowed = "100 ms to 24 h";
        check((shortest..=longest).contains(&self.window), "hedge.window", self.window, allowed)
    }
}
