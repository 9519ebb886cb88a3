//! [`Handle`] and [`KeyedHandle`]: a rate limit from outside.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use crate::pinned::Pinned;
use crate::rate_limit::Standing;
use crate::rate_limit::bucket::Bucket;
use crate::rate_limit::state::Shared;
use crate::rate_limit::table::Table;
use crate::sync::stripes::Padded;
use crate::time;

/// Reads a rate limit while it is at work, and takes nothing from it. Cheap to clone; keeps no
/// service alive.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    bucket: Arc<Padded<Bucket>>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>, bucket: Arc<Padded<Bucket>>) -> Self {
        Self { shared, bucket }
    }

    /// How many calls of cost 1 would pass now.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.standing().available()
    }

    /// How long until a call of cost 1 would pass; zero if it would now.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.standing().wait()
    }

    /// Both at once.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.shared.standing(|now| self.bucket.0.debt(now))
    }
}

/// While its bucket is not full.
impl Pinned for Handle {
    fn is_pinned(&self) -> bool {
        self.bucket.0.debt(self.shared.nanos(time::now())) > 0
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("available", &self.available()).finish()
    }
}

/// As [`Handle`], for a rate limit by keys of type `K`.
pub struct KeyedHandle<K> {
    shared: Arc<Shared>,
    table: Arc<Table<K>>,
}

impl<K> KeyedHandle<K> {
    pub(super) fn new(shared: Arc<Shared>, table: Arc<Table<K>>) -> Self {
        Self { shared, table }
    }
}

impl<K: Hash + Eq> KeyedHandle<K> {
    /// How many calls of cost 1 with this key would pass now.
    #[must_use]
    pub fn available<Q>(&self, key: &Q) -> u32
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.standing(key).available()
    }

    /// How long until a call of cost 1 with this key would pass; zero if it would now.
    #[must_use]
    pub fn wait<Q>(&self, key: &Q) -> Duration
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.standing(key).wait()
    }

    /// Both at once.
    #[must_use]
    pub fn standing<Q>(&self, key: &Q) -> Standing
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.shared.standing(|now| self.table.debt(key, now))
    }

    /// How many keys are remembered. Forgets those first whose buckets are full, and so looks at
    /// all of them: for a gauge now and then.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.table.sweep(self.shared.nanos(time::now()))
    }
}

/// While the bucket of any key is not full: for a rate limit by keys inside a
/// [`keyed`](crate::keyed) layer, in its [`keep_while`](crate::keyed::Builder::keep_while). Looks at
/// every key until it finds one.
impl<K: Send + Sync> Pinned for KeyedHandle<K> {
    fn is_pinned(&self) -> bool {
        self.table.owes(self.shared.nanos(time::now()))
    }
}

impl<K> Clone for KeyedHandle<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), table: self.table.clone() }
    }
}

impl<K> fmt::Debug for KeyedHandle<K> {
    /// Never a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedHandle").field("keys", &self.table.len()).finish_non_exhaustive()
    }
}
