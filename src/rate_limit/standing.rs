//! [`Standing`]: how a request would fare.

use std::time::Duration;

/// How a request would fare that came now. Looking takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub(super) available: u32,
    pub(super) more_in: Option<Duration>,
}

impl Standing {
    /// How many calls of cost 1 would pass now.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.available
    }

    /// How long until one more would; nothing after a rest, when there are as many as can be.
    #[must_use]
    pub fn more_in(&self) -> Option<Duration> {
        self.more_in
    }

    /// How long until a call of cost 1 would pass; zero if it would now.
    #[must_use]
    pub fn wait(&self) -> Duration {
        if self.available > 0 { Duration::ZERO } else { self.more_in.unwrap_or_default() }
    }
}
