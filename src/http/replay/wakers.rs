//! [`Wakers`]: the readers that wait for the body.

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::sync::{Mutex, lock};

/// Wakes every reader that waits. This is the waker that the inner body is polled with, and not
/// that of the reader who polls it: that one may be dropped, or stop reading because its own
/// connection is stuck, and the others would sleep on.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    // By slot. There is rarely more than one.
    waiting: Mutex<Vec<(usize, Waker)>>,
}

impl Wakers {
    pub(super) fn register(&self, slot: usize, waker: &Waker) {
        // Wakers are cloned, woken and dropped outside the lock: what that runs is the executor's,
        // and it may come back here.
        let waker = waker.clone();
        let _replaced = {
            let mut waiting = lock(&self.waiting);
            let replaced = take(&mut waiting, slot);
            waiting.push((slot, waker));
            replaced
        };
    }

    pub(super) fn forget(&self, slot: usize) {
        let _forgotten = take(&mut lock(&self.waiting), slot);
    }

    pub(super) fn wake_all(&self) {
        self.wake(|_| true);
    }

    pub(super) fn wake_others(&self, slot: usize) {
        self.wake(|other| other != slot);
    }

    fn wake(&self, whom: impl Fn(usize) -> bool) {
        let woken: Vec<_> = lock(&self.waiting).extract_if(.., |(slot, _)| whom(*slot)).collect();
        for (_, waker) in woken {
            waker.wake();
        }
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

fn take(waiting: &mut Vec<(usize, Waker)>, slot: usize) -> Option<Waker> {
    let at = waiting.iter().position(|(waits, _)| *waits == slot)?;
    Some(waiting.swap_remove(at).1)
}
