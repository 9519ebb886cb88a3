//! [`Handle`]: a bulkhead from outside.

use std::fmt;
use std::sync::Arc;

use crate::admission::Limited;
use crate::bulkhead::state::State;
use crate::pinned::Pinned;

/// Reads and steers a bulkhead while it is at work. Cheap to clone; keeps no service alive.
#[derive(Clone)]
pub struct Handle {
    state: Arc<State>,
}

impl Handle {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// Calls in flight: admitted and not ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state.limiter().slots.in_flight()
    }

    /// Calls waiting for a slot.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.state.limiter().slots.queued()
    }

    /// Calls in flight at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.state.limiter().slots.limit()
    }

    /// Changes the limit. Raising it admits waiting calls at once. Lowering it ends nobody: calls
    /// in flight beyond the new limit run on, and none is admitted until enough have ended. A limit
    /// of 0 refuses whoever comes; calls that wait already keep their places. Never blocks.
    pub fn resize(&self, max_concurrent: usize) {
        self.state.resize(max_concurrent);
    }
}

impl Pinned for Handle {
    fn is_pinned(&self) -> bool {
        self.state.is_pinned()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("in_flight", &self.in_flight())
            .field("queued", &self.queued())
            .field("limit", &self.limit())
            .finish()
    }
}
