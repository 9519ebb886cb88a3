//! [`Config`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::admission::QueueOrder;
use crate::config::{ConfigError, check, not_zero};

/// The settings of a bulkhead. With feature `serde`, readable from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Calls in flight at most. `0` refuses everything.
    pub max_concurrent: usize,
    /// Calls waiting at most. `0`, the default, refuses at once.
    pub queue: usize,
    /// The longest wait. Default: none, the queue's length alone is the bound.
    pub max_wait: Option<Duration>,
    /// Who is served first. Default: [`QueueOrder::Fifo`].
    pub order: QueueOrder,
    /// Decide, count and report, but never refuse or make wait. Default: `false`.
    pub shadow: bool,
    /// The name of the instance. Default: `bulkhead`.
    pub name: Option<String>,
}

impl Config {
    /// The defaults with this limit.
    #[must_use]
    pub fn new(max_concurrent: usize) -> Self {
        Self {
            max_concurrent,
            queue: 0,
            max_wait: None,
            order: QueueOrder::default(),
            shadow: false,
            name: None,
        }
    }

    pub(super) fn check(&self, shares: &[f64]) -> Result<(), ConfigError> {
        // A line lives in memory: 2^24 waiters are already gigabytes of requests.
        check(self.queue <= 1 << 24, "bulkhead.queue", self.queue, "at most 16,777,216")?;
        if let Some(wait) = self.max_wait {
            not_zero("bulkhead.max_wait", wait)?;
        }
        let each = shares.iter().all(|share| *share >= 0.0 && *share <= 1.0);
        let sum = shares.iter().sum::<f64>() <= 1.0 + 1e-9;
        check(
            each && sum,
            "bulkhead.partition",
            shares,
            "shares from 0 to 1 that add up to at most 1",
        )
    }
}
