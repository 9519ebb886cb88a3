//! [`Wakers`]: the tasks that wait for a circuit to change.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::sync::{Mutex, lock};

/// The tasks to wake at the next change, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next_id: u64,
    // In order, so that a run with the same seed wakes in the same order.
    wakers: BTreeMap<u64, Waker>,
}

impl Wakers {
    pub(super) fn wake_all(&self) {
        let wakers = std::mem::take(&mut lock(&self.waiting).wakers);
        for waker in wakers.into_values() {
            waker.wake();
        }
    }

    pub(super) fn new_id(&self) -> u64 {
        let mut waiting = lock(&self.waiting);
        waiting.next_id += 1;
        waiting.next_id
    }

    pub(super) fn register(&self, id: u64, waker: &Waker) {
        // Wakers are cloned and dropped outside the lock: what that runs is the executor's, and it
        // may come back here.
        let waker = waker.clone();
        let _replaced = lock(&self.waiting).wakers.insert(id, waker);
    }

    pub(super) fn forget(&self, id: u64) {
        let _forgotten = lock(&self.waiting).wakers.remove(&id);
    }
}
