//! [`Handle`] and [`KeyedHandle`]: a rate limit from outside.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use crate::rate_limit::bucket::Bucket;
use crate::rate_limit::state::{Shared, Short};
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
        self.shared.meter.affords(self.debt())
    }

    /// How long until a call of cost 1 would pass; zero if it would now.
    #[must_use]
    pub fn wait(&self) -> Duration {
        wait(&self.shared, self.debt())
    }

    fn debt(&self) -> u64 {
        self.bucket.0.debt(self.shared.nanos(time::now()))
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
        self.shared.meter.affords(self.debt(key))
    }

    /// How long until a call of cost 1 with this key would pass; zero if it would now.
    #[must_use]
    pub fn wait<Q>(&self, key: &Q) -> Duration
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        wait(&self.shared, self.debt(key))
    }

    /// How many keys are remembered. Forgets those first whose buckets are full, and so looks at
    /// all of them: for a gauge now and then.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.table.sweep(self.now())
    }

    fn debt<Q>(&self, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.table.debt(key, self.now())
    }

    fn now(&self) -> u64 {
        self.shared.nanos(time::now())
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
        f.debug_struct("KeyedHandle").field("keys", &self.table.len()).finish()
    }
}

fn wait(shared: &Shared, debt: u64) -> Duration {
    match shared.meter.charge(debt, 1) {
        Ok(_) | Err(Short { wait: None }) => Duration::ZERO,
        Err(Short { wait: Some(wait) }) => Duration::from_nanos(wait),
    }
}
