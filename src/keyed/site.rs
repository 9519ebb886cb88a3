//! [`Site`]: what one `layer()` has built, by key.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use crate::keyed::entry::Entry;
use crate::keyed::state::ByHash;
use crate::sync::{Mutex, lock, stripes::Padded};

/// Two under loom, where each lock more multiplies the work.
const SHARDS: usize = if cfg!(any(buttress_loom, buttress_shuttle)) { 2 } else { 16 };

/// The services that one call of `layer()` has built, shared by its clones. A cache before the
/// registry: an instance whose entry has gone from there is not found.
pub(super) struct Site<T, K, L> {
    /// Made with the first key: in a bare axum router a site serves one request.
    shards: OnceLock<Box<[Place<T, K, L>]>>,
    /// For the entry that keys without a place share.
    spare: Mutex<Option<Arc<Instance<T, K, L>>>>,
}

type Place<T, K, L> = Padded<Mutex<Shard<T, K, L>>>;

/// What was built for an entry. Holds it weakly, so that the registry alone decides how long the
/// key is kept, and a call, which needs a reference of its own, cannot outlive that decision.
pub(super) struct Instance<T, K, L> {
    entry: Weak<Entry<K, L>>,
    /// To be cloned for each call. Not every service can be cloned from two threads at a time, and
    /// only calls with the same key wait for a clone.
    service: Mutex<T>,
}

/// By the hash of the key alone: two keys that share one, which no two do in practice, take turns.
struct Shard<T, K, L> {
    instances: HashMap<u64, Arc<Instance<T, K, L>>, ByHash>,
    /// So many, and the dead among them are taken out.
    clean_at: usize,
}

/// Below so many it is not worth the trouble.
const FEW: usize = 16;

impl<T, K, L> Default for Shard<T, K, L> {
    fn default() -> Self {
        Self { instances: HashMap::default(), clean_at: FEW }
    }
}

impl<T, K, L> Instance<T, K, L> {
    pub(super) fn new(entry: &Arc<Entry<K, L>>, service: T) -> Arc<Self> {
        Arc::new(Self { entry: Arc::downgrade(entry), service: Mutex::new(service) })
    }

    fn is_of(&self, entry: &Arc<Entry<K, L>>) -> bool {
        Weak::as_ptr(&self.entry) == Arc::as_ptr(entry)
    }

    fn is_dead(&self) -> bool {
        self.entry.strong_count() == 0
    }

    #[inline]
    pub(super) fn service(&self) -> T
    where
        T: Clone,
    {
        lock(&self.service).clone()
    }
}

impl<T, K, L> Site<T, K, L> {
    pub(super) fn new() -> Self {
        Self { shards: OnceLock::new(), spare: Mutex::new(None) }
    }

    /// What was built for a key, and its entry.
    #[inline]
    pub(super) fn find<Q>(&self, hash: u64, query: &Q) -> Option<Found<T, K, L>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let instance = lock(self.shard(hash)).instances.get(&hash)?.clone();
        let entry = instance.entry.upgrade()?;
        (entry.has(query) && !entry.is_removed()).then_some((instance, entry))
    }

    /// What was built for this entry.
    pub(super) fn of(
        &self,
        entry: &Arc<Entry<K, L>>,
        is_spare: bool,
    ) -> Option<Arc<Instance<T, K, L>>> {
        let found = if is_spare {
            lock(&self.spare).clone()
        } else {
            lock(self.shard(entry.hash())).instances.get(&entry.hash()).cloned()
        };
        found.filter(|instance| instance.is_of(entry))
    }

    /// Keeps what was built for this entry, unless somebody else was faster. Gives back what is
    /// kept: of layers that mint their state when they are applied, one alone may count.
    pub(super) fn keep(
        &self,
        entry: &Arc<Entry<K, L>>,
        is_spare: bool,
        built: Arc<Instance<T, K, L>>,
    ) -> Arc<Instance<T, K, L>> {
        if is_spare {
            return lock(&self.spare).get_or_insert_with(|| built.clone()).clone();
        }
        let hash = entry.hash();
        let mut shard = lock(self.shard(hash));
        if let Some(first) = shard.instances.get(&hash).filter(|first| first.is_of(entry)) {
            return first.clone();
        }
        let replaced = shard.instances.insert(hash, built.clone());
        let dead = shard.clean();
        // Outside of the lock, since there are the user's services in it.
        drop(shard);
        drop((replaced, dead));
        built
    }

    /// Lets go of what was built for an entry that is no more.
    pub(super) fn forget(&self, hash: u64) {
        let mut shard = lock(self.shard(hash));
        let dead = shard.instances.get(&hash).is_some_and(|instance| instance.is_dead());
        let dead = if dead { shard.instances.remove(&hash) } else { None };
        drop(shard);
        drop(dead);
    }

    /// By bits that the map makes no use of.
    #[inline]
    fn shard(&self, hash: u64) -> &Mutex<Shard<T, K, L>> {
        let make = || (0..SHARDS).map(|_| Padded::default()).collect();
        #[allow(clippy::cast_possible_truncation)] // Few bits are asked for.
        let place = (hash >> 40) as usize % SHARDS;
        &self.shards.get_or_init(make)[place].0
    }
}

impl<T, K, L> Shard<T, K, L> {
    /// Takes out the dead, if there may be as many of them as of the living.
    fn clean(&mut self) -> Vec<Arc<Instance<T, K, L>>> {
        if self.instances.len() < self.clean_at {
            return Vec::new();
        }
        let dead = self.instances.extract_if(|_, instance| instance.is_dead());
        let dead = dead.map(|(_, instance)| instance).collect();
        self.clean_at = FEW.max(2 * self.instances.len());
        dead
    }
}

/// An instance and its entry.
pub(super) type Found<T, K, L> = (Arc<Instance<T, K, L>>, Arc<Entry<K, L>>);

impl<T, K, L> fmt::Debug for Site<T, K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Site")
    }
}
