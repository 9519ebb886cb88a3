//! [`MemoryStore`]: the records of one process.

mod builder;
mod changed;
mod ended;
mod expiries;
mod hasher;
#[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
mod loom_tests;
#[cfg(any(test, fuzzing, buttress_fuzz))]
pub(crate) mod model;
#[cfg(test)]
mod model_tests;
mod room;
mod shards;
mod table;
mod waiters;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use builder::MemoryStoreBuilder;
use changed::Changed;
use shards::Shards;

use crate::idempotency::store::{
    Abandon, Begin, BeginRequest, Capabilities, Fenced, Snapshot, Store, StoreError, StoredOutcome,
};
use crate::idempotency::{Claim, RecordKey};

/// Keeps the records in the memory of this process: the store that needs nothing else.
///
/// **It knows of one process.** Behind a load balancer, a retry that reaches another instance runs
/// again, and a restart forgets every record. With more than one instance, or where a request must
/// not run twice across a restart, use `RedisStore` or `PostgresStore`. A layer that is built over it
/// warns its observers, unless somebody has said by
/// [`single_instance`](MemoryStoreBuilder::single_instance) that one process is all there is.
///
/// Clones share their records.
///
/// # Bounds
///
/// It holds so many records ([`max_entries`](MemoryStoreBuilder::max_entries), 100,000) and bytes
/// ([`max_bytes`](MemoryStoreBuilder::max_bytes), 256 MiB): 256 for each record, and the length of its
/// answer. A claim takes room for the record alone, and so for the tombstone that it can always
/// become: what has run is never forgotten for want of room. When room runs out, it makes some, in
/// this order:
///
/// 1. Expired records are removed.
/// 2. The oldest answers are dropped: their records become tombstones, which say that the request
///    has run, and no longer what came of it. An answer that even so finds no room is not kept
///    either.
/// 3. New claims are refused with [`StoreError::Full`].
///
/// A record in flight, an indeterminate one and a tombstone stay until they expire. With
/// [`evict_oldest_completed`](MemoryStoreBuilder::evict_oldest_completed) the oldest record that has ended
/// makes room for a new claim.
///
/// Expired records go as new ones come, a few with each `begin`, or by
/// [`purge_expired`](Store::purge_expired).
///
/// # Cost
///
/// One lock of one of 16 shards and one clock read for each operation; no task of its own. It is
/// never held across an await, and nothing of the caller's runs under it. An answer is copied once,
/// so that it does not keep a larger buffer alive.
#[derive(Clone)]
pub struct MemoryStore {
    shards: Arc<Shards>,
    single_instance: bool,
}

impl MemoryStore {
    /// A store with the default bounds.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A store with bounds of your own.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::default()
    }

    /// How many records it holds now, with those that have expired and are not removed yet.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.shards.room().records()
    }

    /// How many bytes these take, as its bound counts them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shards.room().bytes()
    }

    #[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
    fn nobody_waits(&self) -> bool {
        self.shards.nobody_waits()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("entries", &self.entries())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

/// Nothing here waits but [`changed`](Store::changed): each operation happens in its first poll.
impl Store for MemoryStore {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        self.shards.begin(&request)
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Fenced, StoreError> {
        Ok(self.shards.on(&claim.key, |table, now| table.renew(claim, lease, now)))
    }

    async fn mark_effects(&self, claim: &Claim) -> Result<Fenced, StoreError> {
        Ok(self.shards.on(&claim.key, |table, now| table.mark_effects(claim, now)))
    }

    async fn complete(
        &self,
        claim: &Claim,
        mut outcome: StoredOutcome,
        retention: Duration,
    ) -> Result<Fenced, StoreError> {
        // A slice of a larger buffer would keep all of it, and the count of bytes would be a lie.
        outcome.payload = outcome.payload.map(|payload| Bytes::copy_from_slice(&payload));
        Ok(self.shards.complete(claim, outcome, retention))
    }

    async fn abandon(&self, claim: &Claim, how: Abandon) -> Result<Fenced, StoreError> {
        let room = self.shards.room();
        Ok(self.shards.on(&claim.key, |table, now| table.abandon(claim, how, now, room)))
    }

    async fn inspect(&self, key: &RecordKey) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.shards.on(key, |table, now| table.inspect(key, now)))
    }

    async fn forget(&self, key: &RecordKey) -> Result<bool, StoreError> {
        let room = self.shards.room();
        Ok(self.shards.on(key, |table, now| table.forget(key, now, room)))
    }

    async fn purge_expired(&self, max: usize) -> Result<usize, StoreError> {
        Ok(self.shards.purge(max))
    }

    /// Waits while somebody holds the record: with nobody to wait for it is ready at once, so that
    /// a change between a `begin` and this is not missed. It sleeps through the end of a lease that
    /// nobody renews: wait no longer than `lease_remaining`.
    fn changed(&self, key: &RecordKey) -> impl Future<Output = ()> + Send {
        Changed::new(&self.shards, *key)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            single_instance: self.single_instance,
            max_payload: self.shards.room().longest_answer(),
            ..Capabilities::default()
        }
    }
}
