//! [`Handle`]: a load shed layer from outside.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::load_shed::state::State;

/// Reads a load shed layer while it is at work. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    state: Arc<State>,
}

impl Handle {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// Whether calls are being refused: the queue stands, readiness is driven on while everybody is
    /// refused, or a [share](Self::excess) of the calls is too much. Where nothing waits: the last
    /// call found the inner service not ready.
    #[must_use]
    pub fn is_shedding(&self) -> bool {
        self.state.is_shedding()
    }

    /// The share of calls that is too much, from 0 to 1: the highest signal, or with priorities
    /// the share of the calls of late that found no room, if that is more. It is refused by
    /// priority, or by chance.
    #[must_use]
    pub fn excess(&self) -> f64 {
        self.state.excess()
    }

    /// Calls waiting for the inner service, without the exempt.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.state.queued()
    }

    /// How long the oldest of them has waited; zero where none does.
    #[must_use]
    pub fn queue_delay(&self) -> Duration {
        self.state.queue_delay()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("shedding", &self.is_shedding())
            .field("excess", &self.excess())
            .field("queued", &self.queued())
            .field("queue_delay", &self.queue_delay())
            .finish()
    }
}
