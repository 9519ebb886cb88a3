//! [`Handle`]: an adaptive limit from outside.

use std::fmt;
use std::sync::Arc;

use crate::adaptive_limit::limit::Core;
use crate::pinned::Pinned;

/// Reads an adaptive limit while it is at work. Cheap to clone; keeps no service alive.
#[derive(Clone)]
pub struct Handle {
    core: Arc<Core>,
}

impl Handle {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Calls in flight at most, as of now.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.core.limiter.slots.limit()
    }

    /// Calls in flight: admitted and not ended. More than the limit after it has shrunk, until
    /// enough of them have ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.core.limiter.slots.in_flight()
    }

    /// Calls waiting for a slot.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.core.limiter.slots.queued()
    }

    /// All of it at once.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            limit: self.limit(),
            in_flight: self.in_flight(),
            queued: self.queued(),
            min: self.core.range.min,
            max: self.core.range.max,
        }
    }
}

impl Pinned for Handle {
    fn is_pinned(&self) -> bool {
        self.core.is_pinned()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.snapshot()).finish()
    }
}

/// An adaptive limit at one moment. The figures are read one after the other, while calls come
/// and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Calls in flight at most.
    pub limit: usize,
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls waiting for a slot.
    pub queued: usize,
    /// The least that the limit can become.
    pub min: usize,
    /// The most that the limit can become.
    pub max: usize,
}
