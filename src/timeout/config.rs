//! [`Config`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::config::{ConfigError, not_zero};

/// The settings of a timeout. With feature `serde`, readable from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// How long a call may take.
    pub limit: Duration,
    /// Waiting for the inner service's readiness counts too. Default: `false`.
    pub also_readiness: bool,
    /// Decide and report, but end no call. Default: `false`.
    pub shadow: bool,
    /// The name of the instance. Default: `timeout`.
    pub name: Option<String>,
}

impl Config {
    /// The defaults with this limit.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit, also_readiness: false, shadow: false, name: None }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        not_zero("timeout.limit", self.limit)
    }
}
