//! [`Table`]: a bucket for each key, in bounded memory.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};

use crate::rate_limit::Overflow;
use crate::rate_limit::bucket::{Bucket, Charged};
use crate::rate_limit::shard::{Full, Shard};
use crate::rate_limit::state::Short;
use crate::sync::{Mutex, lock, stripes::Padded};

/// Enough that the threads of a large machine seldom meet. A power of two.
const SHARDS: usize = 16;

/// A table smaller than this is not divided: parts of a few keys would be full at different times.
const UNDIVIDED: usize = 4096;

/// The buckets of all keys, divided among a few locks. A key that is not here has a full bucket.
pub(super) struct Table<K> {
    shards: Box<[Padded<Mutex<Shard<K>>>]>,
    /// Random, so that nobody can choose keys that collide.
    hasher: RandomState,
    /// Of all the keys that there is no room for.
    overflow: Option<Bucket>,
}

impl<K> Table<K> {
    pub(super) fn new(capacity: usize, overflow: Overflow) -> Self {
        let shards = if capacity < UNDIVIDED { 1 } else { SHARDS };
        let hasher = RandomState::new();
        let shard = |_| Padded(Mutex::new(Shard::new(capacity / shards, hasher.clone())));
        let overflow = (overflow == Overflow::Share).then(Bucket::default);
        Self { shards: (0..shards).map(shard).collect(), hasher, overflow }
    }

    /// The number of keys, those among them that could be forgotten.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(&shard.0).len()).sum()
    }

    /// Whether any bucket is not full.
    pub(super) fn owes(&self, now: u64) -> bool {
        self.shards.iter().any(|shard| lock(&shard.0).owes(now))
            || self.overflow.as_ref().is_some_and(|bucket| bucket.debt(now) > 0)
    }
}

impl<K: Hash + Eq> Table<K> {
    /// Charges the bucket of a key, if it has one. `act` may run several times.
    #[inline(always)]
    pub(super) fn charge<Q>(
        &self,
        key: &Q,
        now: u64,
        act: impl FnMut(u64) -> Result<u64, Short>,
    ) -> Option<Result<Charged, Short>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        lock(self.shard_of(hash)).charge(key, hash, now, act)
    }

    /// As [`charge`](Self::charge), with a bucket for whoever has none.
    pub(super) fn insert(
        &self,
        key: K,
        now: u64,
        mut act: impl FnMut(u64) -> Result<u64, Short>,
    ) -> Result<Charged, Short> {
        let charged = lock(self.shard(&key)).insert(key, now, &mut act);
        match (charged, &self.overflow) {
            (Ok(charged), _) => charged,
            (Err(Full { .. }), Some(bucket)) => bucket.charge(now, act),
            (Err(Full { wait }), None) => Err(Short { wait: Some(wait) }),
        }
    }

    /// Takes a charge back, if nobody has come after it.
    pub(super) fn undo<Q>(&self, key: &Q, charged: Charged)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let undone = lock(self.shard(key)).undo(key, charged);
        if let (None, Some(bucket)) = (undone, &self.overflow) {
            bucket.undo(charged);
        }
    }

    /// What a key owes that came now.
    pub(super) fn debt<Q>(&self, key: &Q, now: u64) -> u64
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let found = lock(self.shard(key)).debt(key, now);
        match (found, &self.overflow) {
            (Ok(debt), _) => debt,
            (Err(Full { .. }), Some(bucket)) => bucket.debt(now),
            (Err(Full { .. }), None) => u64::MAX,
        }
    }

    /// Forgets all keys whose buckets are full, and says how many are left.
    pub(super) fn sweep(&self, now: u64) -> usize {
        self.shards.iter().map(|shard| lock(&shard.0).sweep(now)).sum()
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> &Mutex<Shard<K>> {
        self.shard_of(self.hasher.hash_one(key))
    }

    #[inline(always)]
    fn shard_of(&self, hash: u64) -> &Mutex<Shard<K>> {
        // By bits that the map makes no use of; of one shard, always that.
        &self.shards[(hash >> 40) as usize & (self.shards.len() - 1)].0
    }
}

impl<K> fmt::Debug for Table<K> {
    /// Never a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}
