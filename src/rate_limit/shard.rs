//! [`Shard`]: the buckets of some keys.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, RandomState};

use crate::rate_limit::bucket::Charged;
use crate::rate_limit::hashes::Hashes;
use crate::rate_limit::state::Short;

/// Fewer keys than this are not worth forgetting.
const FEW: usize = 64;

/// How long a full shard rests after a sweep, for each key that was looked at: a hundred times of
/// what that takes. Without it, a flood of new keys would make each of them look at all the others.
const REST: u64 = 1_000;

/// When the bucket of each key is full again, in nanoseconds of the layer's time. One that is full is
/// as good as none, so it may go: it is swept out when the shard would have to grow, and so at a cost
/// that does not depend on how many keys there are.
pub(super) struct Shard<K> {
    full_at: HashMap<K, u64, Hashes>,
    capacity: usize,
    /// So many keys at most until the next sweep.
    room: usize,
    /// No bucket is full again before.
    next: u64,
    /// The end of the rest after the last sweep.
    rested_at: u64,
}

/// There is no room for another key, and will be none for so many nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) wait: u64,
}

impl<K> Shard<K> {
    pub(super) fn new(capacity: usize, hasher: RandomState) -> Self {
        let full_at = HashMap::with_hasher(Hashes::new(hasher));
        Self { full_at, capacity, room: capacity.min(FEW), next: u64::MAX, rested_at: 0 }
    }

    /// The number of keys, those among them that could be forgotten.
    pub(super) fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Whether any bucket is not full.
    pub(super) fn owes(&self, now: u64) -> bool {
        self.full_at.values().any(|full_at| *full_at > now)
    }
}

impl<K: Hash + Eq> Shard<K> {
    /// Charges the bucket of a key that is here, and whose hash is known.
    #[inline(always)]
    pub(super) fn charge<Q>(
        &mut self,
        key: &Q,
        hash: u64,
        now: u64,
        act: impl FnOnce(u64) -> Result<u64, Short>,
    ) -> Option<Result<Charged, Short>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.full_at.hasher().expect(Some(hash));
        let Some(full_at) = self.full_at.get_mut(key) else {
            // An empty map has not asked.
            self.full_at.hasher().expect(None);
            return None;
        };
        let charged = Charged::at(*full_at, now, act);
        if let Ok(charged) = charged {
            *full_at = charged.after;
        }
        Some(charged)
    }

    /// Charges the bucket of a key that may not be here.
    pub(super) fn insert(
        &mut self,
        key: K,
        now: u64,
        act: impl FnOnce(u64) -> Result<u64, Short>,
    ) -> Result<Result<Charged, Short>, Full> {
        if let Some(full_at) = self.full_at.get_mut(&key) {
            let charged = Charged::at(*full_at, now, act);
            if let Ok(charged) = charged {
                *full_at = charged.after;
            }
            return Ok(charged);
        }
        self.make_room(now)?;
        let charged = Charged::at(now, now, act);
        if let Ok(charged) = charged
            && charged.after > now
        {
            self.next = self.next.min(charged.after);
            self.full_at.insert(key, charged.after);
        }
        Ok(charged)
    }

    /// Takes a charge back, if nobody has come after it. Without such a key does nothing.
    pub(super) fn undo<Q>(&mut self, key: &Q, charged: Charged) -> Option<()>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let full_at = self.full_at.get_mut(key)?;
        if let Some(before) = charged.undone(*full_at) {
            *full_at = before;
            self.next = self.next.min(before);
        }
        Some(())
    }

    /// What a key owes that came now.
    pub(super) fn debt<Q>(&mut self, key: &Q, now: u64) -> Result<u64, Full>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        match self.full_at.get(key) {
            Some(full_at) => Ok(full_at.saturating_sub(now)),
            None => self.make_room(now).map(|()| 0),
        }
    }

    /// Forgets all keys whose buckets are full, and says how many are left.
    pub(super) fn sweep(&mut self, now: u64) -> usize {
        let looked_at = self.full_at.len() as u64;
        let mut next = u64::MAX;
        self.full_at.retain(|_, full_at| {
            let stays = *full_at > now;
            if stays {
                next = next.min(*full_at);
            }
            stays
        });
        self.next = next;
        self.rested_at = now.saturating_add(looked_at * REST);
        let left = self.full_at.len();
        // The next sweep pays for itself: it comes after as many new keys as it will look at old ones.
        self.room = (2 * left).max(FEW).min(self.capacity);
        self.full_at.shrink_to(self.room);
        left
    }

    fn make_room(&mut self, now: u64) -> Result<(), Full> {
        if self.full_at.len() < self.room {
            return Ok(());
        }
        let grows = self.room < self.capacity;
        if (grows || now >= self.soonest()) && self.sweep(now) < self.capacity {
            return Ok(());
        }
        Err(Full { wait: self.soonest().saturating_sub(now) })
    }

    /// When a sweep may find something.
    fn soonest(&self) -> u64 {
        self.next.max(self.rested_at)
    }
}
