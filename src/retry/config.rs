//! [`Config`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::budget::BudgetConfig;
use crate::config::{ConfigError, at_least_one};

/// The settings of a retry. With feature `serde`, readable from a file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Attempts at most, the first call included. Default: 3, that is two retries.
    pub max_attempts: u32,
    /// How long to wait before a further attempt. Default: from 50 ms to 20 s, full jitter.
    pub backoff: Backoff,
    /// The base of the backoff after an outcome of class `Overload`, where that is longer.
    /// Default: 1 s.
    pub overload_base: Duration,
    /// What an attempt needs at least: none starts with less than this left of the request's
    /// deadline. Default: 1 ms, the grain of the timers.
    pub min_attempt: Duration,
    /// The budget. Default: a fifth of the calls over 10 s, and 10 a second in any case.
    pub budget: BudgetConfig,
    /// The name of the instance. Default: `retry`.
    pub name: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            backoff: Backoff::exponential(Duration::from_millis(50), Duration::from_secs(20)),
            overload_base: Duration::from_secs(1),
            min_attempt: Duration::from_millis(1),
            budget: BudgetConfig::default(),
            name: None,
        }
    }
}

impl Config {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        at_least_one("retry.max_attempts", self.max_attempts)?;
        self.backoff.check(["retry.backoff.base", "retry.backoff.at_least"])
    }
}
