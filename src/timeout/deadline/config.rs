//! [`DeadlineConfig`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::config::{ConfigError, not_zero};
use crate::timeout::wire::{GRPC_TIMEOUT, check_name};

/// The settings of a [`DeadlineLayer`](super::DeadlineLayer). With feature `serde`, readable from
/// a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadlineConfig {
    /// The header that says how much time is left. Default: `grpc-timeout`.
    pub header: String,
    /// The longest deadline, also of a request that says none. Default: `None`, no such limit.
    pub at_most: Option<Duration>,
    /// Decide and report, but refuse and end no call. Default: `false`.
    pub shadow: bool,
    /// The name of the instance. Default: `deadline`.
    pub name: Option<String>,
}

impl Default for DeadlineConfig {
    fn default() -> Self {
        Self { header: GRPC_TIMEOUT.to_owned(), at_most: None, shadow: false, name: None }
    }
}

impl DeadlineConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check_name("deadline.header", &self.header)?;
        self.at_most.map_or(Ok(()), |at_most| not_zero("deadline.at_most", at_most))
    }
}
