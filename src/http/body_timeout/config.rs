//! [`BodyTimeoutConfig`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::config::{ConfigError, check, not_zero};

/// The settings of a [`BodyTimeoutLayer`](super::BodyTimeoutLayer). With feature `serde`, readable
/// from a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyTimeoutConfig {
    /// The longest wait for the next frame. Default: `None`, no limit.
    pub idle: Option<Duration>,
    /// The longest time from the head to the end. Default: `None`, no limit.
    pub total: Option<Duration>,
    /// Decide and report, but end no body. Default: `false`.
    pub shadow: bool,
    /// The name of the instance. Default: `body_timeout`.
    pub name: Option<String>,
}

impl BodyTimeoutConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let some = self.idle.is_some() || self.total.is_some();
        check(some, "body_timeout.idle", self.idle, "a duration, where `total` is none either")?;
        self.idle.map_or(Ok(()), |idle| not_zero("body_timeout.idle", idle))?;
        self.total.map_or(Ok(()), |total| not_zero("body_timeout.total", total))
    }
}
