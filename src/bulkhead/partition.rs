//! Which partition a request belongs to.

use std::fmt;
use std::sync::Arc;

/// Finds the partition of a request. Implemented by [`Whole`] and [`Partitions`].
pub trait FindPartition<Req> {
    /// The index of its partition.
    fn find_partition(&self, request: &Req) -> usize;
}

/// One partition for all: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole;

impl<Req> FindPartition<Req> for Whole {
    fn find_partition(&self, _: &Req) -> usize {
        0
    }
}

/// Partitions by a key of the request. Made by [`Builder::partition`](super::Builder::partition).
pub struct Partitions<K, F> {
    key: F,
    // Searched in line: there are a handful, and they were named in the configuration.
    keys: Arc<[K]>,
}

impl<K, F> Partitions<K, F> {
    pub(super) fn new(key: F, keys: Vec<K>) -> Self {
        Self { key, keys: keys.into() }
    }
}

impl<K, F, Req> FindPartition<Req> for Partitions<K, F>
where
    K: PartialEq,
    F: Fn(&Req) -> K,
{
    /// An unknown key belongs to the default partition, the one after all the named ones.
    fn find_partition(&self, request: &Req) -> usize {
        let key = (self.key)(request);
        self.keys.iter().position(|known| *known == key).unwrap_or(self.keys.len())
    }
}

impl<K: fmt::Debug, F> fmt::Debug for Partitions<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Partitions").field(&self.keys).finish()
    }
}
