//! [`Waiters`]: the tasks that wait for records of one shard to change.

use std::collections::{BTreeMap, HashMap};
use std::task::Waker;

use crate::idempotency::RecordKey;
use crate::idempotency::memory::hasher::ByKey;

/// Nothing is kept for a record that nobody waits for.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    next_id: u64,
    /// In the order in which they came, so that a run with the same seed wakes in the same order.
    waiting: HashMap<RecordKey, BTreeMap<u64, Waker>, ByKey>,
    woken: Vec<Waker>,
}

impl Waiters {
    pub(super) fn register(&mut self, key: RecordKey, waker: Waker) -> u64 {
        self.next_id += 1;
        self.waiting.entry(key).or_default().insert(self.next_id, waker);
        self.next_id
    }

    /// Whether it still waits; if so, it is this waker that is to be woken. Gives back the one
    /// that is of no use any more.
    pub(super) fn keep(&mut self, key: &RecordKey, id: u64, waker: Waker) -> (bool, Waker) {
        match self.waiting.get_mut(key).and_then(|waiting| waiting.get_mut(&id)) {
            Some(place) => (true, std::mem::replace(place, waker)),
            None => (false, waker),
        }
    }

    /// Gives back whom it would have woken.
    pub(super) fn forget(&mut self, key: &RecordKey, id: u64) -> Option<Waker> {
        let waiting = self.waiting.get_mut(key)?;
        let waker = waiting.remove(&id);
        if waiting.is_empty() {
            self.waiting.remove(key);
        }
        waker
    }

    pub(super) fn wake(&mut self, key: &RecordKey) {
        if !self.waiting.is_empty()
            && let Some(waiting) = self.waiting.remove(key)
        {
            self.woken.extend(waiting.into_values());
        }
    }

    #[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Those to wake, once the lock is released.
    pub(super) fn take_woken(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.woken)
    }
}
