//! [`Config`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::config::{ConfigError, check, not_zero};

/// The settings of a load shed layer. With feature `serde`, readable from a file.
///
/// [`Default`] is what [`LoadShedLayer::new`](super::LoadShedLayer::new) does: a call is refused
/// if the inner service is not ready, and nothing waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// How long calls may wait for the inner service. Default: none waits, unless `fail_fast` or
    /// `queue` is set.
    pub queue_delay: Option<QueueDelay>,
    /// Calls waiting at most. Default: 1024 where calls wait at all, else none. A queue with
    /// neither `queue_delay` nor `fail_fast` has the default [`QueueDelay`].
    pub queue: Option<usize>,
    /// Refuse everybody at once after the inner service has been pending for so long. Default:
    /// never.
    pub fail_fast: Option<Duration>,
    /// Makes the draws of the layer repeat. Default: seeded by the operating system.
    pub seed: Option<u64>,
    /// Decide, count and report, but never refuse. Default: `false`.
    pub shadow: bool,
    /// The name of the instance. Default: `load_shed`.
    pub name: Option<String>,
}

/// How long calls may wait: see [`Builder::queue_delay`](super::Builder::queue_delay).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // The rule has two parameters.
pub struct QueueDelay {
    /// The wait that is in order even in a standing queue, and the longest while overloaded.
    /// Default: 5 ms.
    pub target: Duration,
    /// How long the minimum wait must have been above `target` for overload, and the longest wait
    /// otherwise. Default: 100 ms.
    pub interval: Duration,
}

impl Default for QueueDelay {
    /// The figures of Nichols and Jacobson, and of Maurer.
    fn default() -> Self {
        Self { target: Duration::from_millis(5), interval: Duration::from_millis(100) }
    }
}

impl Config {
    /// How many may wait where anybody does.
    const QUEUE: usize = 1024;

    /// Calls waiting at most.
    pub(super) fn queue_len(&self) -> usize {
        let waits = self.queue_delay.is_some() || self.fail_fast.is_some();
        self.queue.unwrap_or(if waits { Self::QUEUE } else { 0 })
    }

    /// There is no wait without an end.
    pub(super) fn delay(&self) -> Option<QueueDelay> {
        let unbounded = self.queue_len() > 0 && self.fail_fast.is_none();
        self.queue_delay.or_else(|| unbounded.then(QueueDelay::default))
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let len = self.queue_len();
        // A line lives in memory: 2^24 waiters are already gigabytes of requests.
        check(len <= 1 << 24, "load_shed.queue", len, "at most 16,777,216")?;
        if let Some(after) = self.fail_fast {
            not_zero("load_shed.fail_fast", after)?;
        }
        if let Some(QueueDelay { target, interval }) = self.queue_delay {
            not_zero("load_shed.queue_delay.target", target)?;
            let longer = "longer than the target";
            check(interval > target, "load_shed.queue_delay.interval", interval, longer)?;
        }
        Ok(())
    }
}
