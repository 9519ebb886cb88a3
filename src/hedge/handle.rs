//! [`Handle`]: a hedge from outside.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::hedge::pace::Pace;
use crate::time;

/// Reads a hedge while it is at work. Cheap to clone; keeps no service alive.
#[derive(Clone)]
pub struct Handle {
    pace: Arc<Pace>,
}

impl Handle {
    pub(super) fn new(pace: Arc<Pace>) -> Self {
        Self { pace }
    }

    /// After how long a second attempt would be sent now; `None` where none would be: before the
    /// warm-up, or because there have been too few calls of late.
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        self.pace.delay(time::now())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("delay", &self.delay()).finish()
    }
}
