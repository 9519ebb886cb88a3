//! [`Entry`]: a key, its layer, and what says whether they may be forgotten.

use std::borrow::Borrow;
use std::sync::{Arc, Weak};

use crate::pinned::{self, Pins};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Mutex, Ordering, lock};

/// What there is of one key. The table holds one reference, and each call in flight another: so
/// taking out the value of the only reference is what no call can get in between of.
pub(super) struct Entry<K, L> {
    hash: u64,
    key: K,
    layer: L,
    /// Since when no call has been in flight, in nanoseconds by the table's clock. Kept only where
    /// somebody asks.
    idle_since: AtomicU64,
    /// Calls that have ended. What came of them was done before: whoever has asked what is pinned,
    /// and finds no further call afterwards, knows what there is to know.
    uses: AtomicU32,
    /// How many of them the table has seen.
    seen: AtomicU32,
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
            uses: AtomicU32::new(0),
            // A new key counts as used.
            seen: AtomicU32::new(u32::MAX),
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

    /// A call ends. Its reference is let go after this.
    #[inline]
    pub(super) fn ended(&self, now: Option<u64>) {
        if let Some(now) = now {
            self.idle_since.fetch_max(now, Ordering::Relaxed);
        }
        self.uses.fetch_add(1, Ordering::Release);
    }

    /// The latest number there is, which a mere load need not see.
    fn uses(&self) -> u32 {
        self.uses.fetch_or(0, Ordering::AcqRel)
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
    uses: u32,
    /// It had been used since it was last looked at.
    pub(super) used: bool,
}

impl<K, L> Candidate<K, L> {
    pub(super) fn new(entry: &Arc<Entry<K, L>>) -> Self {
        let uses = entry.uses();
        let seen = entry.seen.swap(uses, Ordering::Relaxed);
        Self { hash: entry.hash(), entry: Arc::downgrade(entry), uses, used: seen != uses }
    }

    /// Whether a call has ended since this is one.
    pub(super) fn is_outdated(&self, entry: &Entry<K, L>) -> bool {
        entry.uses() != self.uses && !cfg!(mutant = "used-key-forgotten")
    }
}
