//! [`Config`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::config::{ConfigError, at_least_one, check, not_zero};

/// The settings of a rate limit. With feature `serde`, readable from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// So many calls pass in each period, in the long run: 1 or more.
    pub calls: u32,
    /// The period. Default: 1 s.
    pub per: Duration,
    /// So many calls pass at once after a rest: 1 or more. Default: as many as `calls`.
    pub burst: Option<u32>,
    /// What a call costs that is not given a cost of its own: 1 to `burst`. Default: 1.
    pub cost: u32,
    /// The longest wait of a call that comes too early. Default: none, it is refused at once.
    pub max_wait: Option<Duration>,
    /// With a rate for each key: keys that are remembered at most. Default: 100,000.
    pub capacity: usize,
    /// With a rate for each key: what becomes of a new key when there is no room for it. Default:
    /// [`Overflow::Share`].
    pub overflow: Overflow,
    /// Decide, count and report, but never refuse or make wait. Default: `false`.
    pub shadow: bool,
    /// The name of the instance. Default: `rate_limit`.
    pub name: Option<String>,
}

/// What becomes of a new key when as many are remembered as may be, and each has calls to make up
/// for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// All such keys share one rate, the same as that of each other key. The default: memory stays
    /// bounded, and a flood of made-up keys cannot shut out everybody new.
    #[default]
    Share,
    /// It is refused, until there may be room.
    Refuse,
}

/// The longest time to fill a bucket, in nanoseconds: 146 years, with which no sum of two overflows.
const LONGEST: u128 = 1 << 62;

impl Config {
    /// The defaults with this rate.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self {
            calls: per_second,
            per: Duration::from_secs(1),
            burst: None,
            cost: 1,
            max_wait: None,
            capacity: 100_000,
            overflow: Overflow::default(),
            shadow: false,
            name: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        at_least_one("rate_limit.calls", self.calls)?;
        not_zero("rate_limit.per", self.per)?;
        at_least_one("rate_limit.burst", self.burst())?;
        let fill = self.interval().as_nanos() * u128::from(self.burst());
        check(
            fill <= LONGEST,
            "rate_limit.burst",
            self.burst(),
            "what the rate brings in 146 years, or less",
        )?;
        let affordable = self.cost >= 1 && self.cost <= self.burst();
        check(affordable, "rate_limit.cost", self.cost, "1 to the burst")?;
        if let Some(wait) = self.max_wait {
            not_zero("rate_limit.max_wait", wait)?;
        }
        check(self.capacity >= 1, "rate_limit.capacity", self.capacity, "1 or more")
    }

    pub(super) fn burst(&self) -> u32 {
        self.burst.unwrap_or(self.calls)
    }

    /// From one call to the next at this rate, in whole nanoseconds.
    pub(super) fn interval(&self) -> Duration {
        (self.per / self.calls).max(Duration::from_nanos(1))
    }
}
