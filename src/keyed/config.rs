//! [`Config`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::config::{ConfigError, check, not_zero};

/// The settings of a [`KeyedLayer`](super::KeyedLayer). With feature `serde`, readable from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Keys at most that have an instance of their own. Default: 10,000.
    pub capacity: usize,
    /// A key without a call for so long is forgotten. Default: none, until its place is needed.
    pub idle: Option<Duration>,
    /// What becomes of a key that finds no place. Default: [`Overflow::Share`].
    pub overflow: Overflow,
    /// Report what [`Overflow::Refuse`] would refuse, and share instead. Default: `false`.
    pub shadow: bool,
    /// The name of the layer. Default: `keyed`.
    pub name: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { capacity: 10_000, idle: None, overflow: Overflow::Share, shadow: false, name: None }
    }
}

impl Config {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let capacity = (1..=1 << 24).contains(&self.capacity);
        check(capacity, "keyed.capacity", self.capacity, "1 to 16,777,216")?;
        self.idle.map_or(Ok(()), |idle| not_zero("keyed.idle", idle))
    }
}

/// What becomes of a key that finds no place: there are as many as may be, and none can be
/// forgotten, since each is in use or pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// All such keys share one instance, beside the others. It is made for the first of them, with
    /// the settings and the name that this one gets, and stays.
    #[default]
    Share,
    /// The call is refused with [`Reason::Overloaded`](crate::Reason::Overloaded).
    Refuse,
}
