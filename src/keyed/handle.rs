//! [`Handle`]: the keys from outside.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use crate::keyed::registry::Registry;
use crate::pinned::Pinned;

/// Lists, finds and removes keys. Cheap to clone; keeps no service alive.
///
/// With [`Builder::idle`](super::Builder::idle), what has been idle too long is gone for all of
/// these: [`len`](Self::len) and [`keys`](Self::keys) then look at every key first.
pub struct Handle<K, L> {
    registry: Arc<Registry<K, L>>,
}

impl<K, L> Handle<K, L> {
    pub(super) fn new(registry: Arc<Registry<K, L>>) -> Self {
        Self { registry }
    }

    /// Keys with an instance of their own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.purge();
        self.registry.len()
    }

    /// Whether no key has an instance of its own.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys, in no order. Those that come or go meanwhile may be among them or not.
    #[must_use]
    pub fn keys(&self) -> Vec<K>
    where
        K: Clone,
    {
        self.purge();
        let mut keys = Vec::with_capacity(self.registry.len());
        self.registry.each(|entry| keys.push(entry.key().clone()));
        keys
    }

    /// The layer of a key, as the closure made it. Those of this crate share their state with their
    /// clones, so that its handle reads and steers this key's instance. For a stack, see
    /// [`WithHandle`](super::WithHandle). It is no use of the key, and keeps nothing.
    #[must_use]
    pub fn get<Q>(&self, key: &Q) -> Option<L>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        L: Clone,
    {
        self.registry.get(self.registry.hash(key), key).map(|entry| entry.layer().clone())
    }

    /// Whether a key has an instance of its own.
    #[must_use]
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.registry.get(self.registry.hash(key), key).is_some()
    }

    /// Forgets a key, in use or pinned as it may be, and says whether it was there. Calls in flight
    /// run to their end; the next one gets a new instance.
    pub fn remove<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.registry.remove(self.registry.hash(key), key)
    }

    /// Forgets what has been idle too long, and says how many keys that were. Calls do the same bit
    /// by bit: this is for when there are none. Without [`Builder::idle`](super::Builder::idle)
    /// there is nothing to forget.
    #[allow(clippy::must_use_candidate)] // For what it does, not for what it says.
    pub fn purge(&self) -> usize {
        self.registry.purge()
    }
}

/// Whether any key is: for a keyed layer inside another, in the outer one's
/// [`keep_while`](super::Builder::keep_while). Looks at every key until it finds one.
impl<K, L> Pinned for Handle<K, L>
where
    K: Send + Sync,
    L: Send + Sync,
{
    fn is_pinned(&self) -> bool {
        self.registry.is_pinned()
    }
}

impl<K, L> Clone for Handle<K, L> {
    fn clone(&self) -> Self {
        Self { registry: self.registry.clone() }
    }
}

impl<K, L> fmt::Debug for Handle<K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("registry", &self.registry).finish()
    }
}
