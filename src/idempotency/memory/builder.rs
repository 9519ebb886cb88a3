//! [`MemoryStoreBuilder`]: the bounds of a store.

use std::sync::Arc;

use crate::config::{self, ConfigError};
use crate::idempotency::MemoryStore;
use crate::idempotency::memory::room::{RECORD_BYTES, Room};
use crate::idempotency::memory::shards::Shards;

/// Builds a [`MemoryStore`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MemoryStoreBuilder {
    max_entries: usize,
    max_bytes: usize,
    evict_oldest_completed: bool,
    single_instance: bool,
}

impl Default for MemoryStoreBuilder {
    fn default() -> Self {
        Self {
            max_entries: 100_000,
            max_bytes: 256 << 20,
            evict_oldest_completed: false,
            single_instance: false,
        }
    }
}

impl MemoryStoreBuilder {
    /// How many records there are at most, in whatever state. Default: 100,000.
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.max_entries = entries;
        self
    }

    /// How many bytes the records take at most: 256 for each, and the length of its answer.
    /// Default: 256 MiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Says that one process is all there is, so that no layer warns of it
    /// ([`Observe::on_unshared_store`](crate::observe::Observe::on_unshared_store)). Default: it is
    /// not known.
    pub fn single_instance(mut self) -> Self {
        self.single_instance = true;
        self
    }

    /// Rather than refuse a new claim, forget the record that has ended first, its answer or what
    /// is left of it. Default: refuse.
    ///
    /// Whoever repeats a request that was forgotten runs it again, however long its retention was
    /// to be: for requests that may be repeated at a cost, never for payments.
    pub fn evict_oldest_completed(mut self) -> Self {
        self.evict_oldest_completed = true;
        self
    }

    /// The store.
    ///
    /// # Panics
    ///
    /// If a bound leaves no room for a single record.
    #[must_use]
    #[track_caller]
    pub fn build(self) -> MemoryStore {
        config::expect(self.try_build())
    }

    /// The store, or what is wrong with its bounds.
    ///
    /// # Errors
    ///
    /// If a bound leaves no room for a single record.
    pub fn try_build(self) -> Result<MemoryStore, ConfigError> {
        config::check(
            self.max_entries >= 1,
            "memory_store.max_entries",
            self.max_entries,
            "1 or more",
        )?;
        config::check(
            self.max_bytes >= RECORD_BYTES,
            "memory_store.max_bytes",
            self.max_bytes,
            "256 or more",
        )?;
        let room = Room::new(self.max_entries, self.max_bytes);
        let shards = Arc::new(Shards::new(room, self.evict_oldest_completed));
        Ok(MemoryStore { shards, single_instance: self.single_instance })
    }
}
