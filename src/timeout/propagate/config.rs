//! [`PropagateDeadlineConfig`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::config::{ConfigError, check};
use crate::timeout::HeaderFormat;
use crate::timeout::wire::{GRPC_TIMEOUT, check_name};

/// The settings of a [`PropagateDeadlineLayer`](super::PropagateDeadlineLayer). With feature
/// `serde`, readable from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PropagateDeadlineConfig {
    /// The header that is set. Default: `grpc-timeout`.
    pub header: String,
    /// How the time is written in it. Default: as in gRPC.
    pub format: HeaderFormat,
    /// How much of the time left is kept back. Default: 0.
    pub margin: Duration,
    /// Decide and report, but refuse no call, and leave the requests as they are. Default: `false`.
    pub shadow: bool,
    /// The name of the instance. Default: `propagate_deadline`.
    pub name: Option<String>,
}

impl Default for PropagateDeadlineConfig {
    fn default() -> Self {
        Self {
            header: GRPC_TIMEOUT.to_owned(),
            format: HeaderFormat::Grpc,
            margin: Duration::ZERO,
            shadow: false,
            name: None,
        }
    }
}

impl PropagateDeadlineConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check_name("propagate_deadline.header", &self.header)?;
        let readable =
            self.format == HeaderFormat::Grpc || !self.header.eq_ignore_ascii_case(GRPC_TIMEOUT);
        let allowed = "`grpc` for the header `grpc-timeout`";
        check(readable, "propagate_deadline.format", self.format, allowed)
    }
}
