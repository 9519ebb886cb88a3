//! [`Handle`]: reading a live layer, and letting it come to rest.

use std::sync::Arc;
use std::time::Duration;

use crate::idempotency::execution::task::Tracker;

/// Reads an idempotency layer, and waits for what runs in it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    tracker: Arc<Tracker>,
}

/// What [`Handle::drain`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// What still ran when the wait was over: requests, and outcomes that were not stored yet.
    pub running: usize,
}

impl Handle {
    pub(super) fn new(tracker: Arc<Tracker>) -> Self {
        Self { tracker }
    }

    /// Requests in the layer, those whose callers have left included.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.tracker.in_flight()
    }

    /// Waits until nothing runs in the layer, but no longer than `at_most`. For a graceful
    /// shutdown, after the server has stopped taking requests. Cancel safe.
    pub async fn drain(&self, at_most: Duration) -> Drained {
        // Either way the count says what is left.
        let _ = tokio::time::timeout(at_most, self.tracker.idle()).await;
        Drained { running: self.tracker.tasks() }
    }
}
