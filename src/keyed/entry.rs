//! [`Entry`]: a key, its layer, and what says whether they may be forgotten.

use std::borrow::Borrow;
use std::sync::{Arc, Weak};

use crate::pinned::{self, Pins};
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering, lock};

/// What there is of one key. The table holds one reference, and each call in flight another: so
/// taking out the value of the only reference is what no call can get in between of.
pub(super) struct Entry<K, L> {
    hash: u64,
    key: K,
    layer: L,
    /// Since when no call has been in flight, in nanoseconds by the table's clock. Kept only where
    /// somebody asks.
    idle_since: AtomicU64,
    /// Since the table last looked.
    used: AtomicBool,
    /// By an operator: calls in flight run on, further ones get another instance.
    removed: AtomicBool,
    pins: Mutex<Pins>,
}

impl<K, L> Entry<K, L> {
    pub(super) fn new(hash: u64, key: K, (layer, mut pins): (L, Pins), now: u64) -> Self {
        pins.shrink_to_fit();
        Self {
            hash,
            key,
            layer,
            idle_since: AtomicU64::new(now),
            used: AtomicBool::new(true),
            removed: AtomicBool::new(false),
            pins: Mutex::new(pins),
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn key(&self) -> &K {
        &self.key
    }

    pub(super) fn layer(&self) -> &L {
        &self.layer
    }

    #[inline]
    pub(super) fn has<Q>(&self, query: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.key.borrow() == query
    }

    /// A call begins, by whoever has a reference by now. Whoever looks and finds it unused after
    /// that has seen the reference as well.
    #[inline]
    pub(super) fn mark_used(&self) {
        self.used.store(true, Ordering::Release);
    }

    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::AcqRel)
    }

    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    /// A call ends.
    pub(super) fn ended(&self, now: u64) {
        self.idle_since.fetch_max(now, Ordering::Relaxed);
    }

    /// Since when it is idle, if it is.
    pub(super) fn idle_since(&self) -> u64 {
        self.idle_since.load(Ordering::Relaxed)
    }

    pub(super) fn remove(&self) {
        self.removed.store(true, Ordering::Release);
    }

    #[inline]
    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Adds what a service made of its layer has announced, and lets go of what is gone.
    pub(super) fn pin(&self, more: Pins) {
        if !more.is_empty() {
            let mut pins = lock(&self.pins);
            pins.retain(|pin| pin.strong_count() > 0);
            pins.extend(more);
        }
    }

    /// Whether anything in its layer must be kept. Not asked under a lock.
    pub(super) fn is_pinned(&self) -> bool {
        let pins = lock(&self.pins).clone();
        pinned::any(&pins)
    }
}

/// An entry that may be forgotten, if it is still idle by then.
pub(super) struct Candidate<K, L> {
    pub(super) hash: u64,
    pub(super) entry: Weak<Entry<K, L>>,
    /// It had been used since it was last looked at.
    pub(super) used: bool,
}

impl<K, L> Candidate<K, L> {
    /// From now on a use of the entry shows.
    pub(super) fn new(entry: &Arc<Entry<K, L>>) -> Self {
        Self { hash: entry.hash(), used: entry.take_used(), entry: Arc::downgrade(entry) }
    }
}
