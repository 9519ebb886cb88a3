//! [`Room`]: how much the whole store holds, and how much it may.

use crate::idempotency::Fence;
use crate::sync::{AtomicU64, AtomicUsize, Ordering};

/// What a record takes without its answer: its slot, its place in the map with the share of it
/// that is empty, and its places in the orders of expiry and of age.
pub(super) const RECORD_BYTES: usize = 256;

/// The counters that the shards share. Bounds are over all of them: a shard that is fuller than
/// the others must not refuse while there is room elsewhere.
///
/// Nothing is ordered by these but themselves: whatever they count is behind the shards' locks.
#[derive(Debug)]
pub(super) struct Room {
    max_records: usize,
    max_bytes: usize,
    records: AtomicUsize,
    bytes: AtomicUsize,
    fences: AtomicU64,
    endings: AtomicU64,
}

/// Which bound leaves no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    Records,
    Bytes,
}

impl Room {
    pub(super) fn new(max_records: usize, max_bytes: usize) -> Self {
        Self {
            max_records,
            max_bytes,
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            fences: AtomicU64::new(0),
            endings: AtomicU64::new(0),
        }
    }

    /// Takes room for a record, and so for the tombstone that it can always become.
    pub(super) fn admit(&self) -> Result<(), Short> {
        if !take(&self.records, 1, self.max_records) {
            return Err(Short::Records);
        }
        if !take(&self.bytes, RECORD_BYTES, self.max_bytes) {
            self.records.fetch_sub(1, Ordering::Relaxed);
            return Err(Short::Bytes);
        }
        Ok(())
    }

    /// Takes room for an answer.
    pub(super) fn take(&self, bytes: usize) -> Result<(), Short> {
        if take(&self.bytes, bytes, self.max_bytes) { Ok(()) } else { Err(Short::Bytes) }
    }

    /// Whether an answer of this length would fit if all others were gone.
    pub(super) fn could_take(&self, bytes: usize) -> bool {
        let records = self.records().saturating_mul(RECORD_BYTES);
        records.saturating_add(bytes) <= self.max_bytes
    }

    /// A record is gone, and its answer of this length with it.
    pub(super) fn dismiss(&self, answer: usize) {
        self.records.fetch_sub(1, Ordering::Relaxed);
        self.give_back(RECORD_BYTES + answer);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Greater than every one before. A key's fences are drawn under the lock of its shard, and so
    /// follow the order of its claims.
    pub(super) fn next_fence(&self) -> Fence {
        Fence::new(self.fences.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The place of a record among all that have ended, 1 for the first.
    pub(super) fn next_ending(&self) -> u64 {
        self.endings.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn records(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Of the only record there is.
    pub(super) fn longest_answer(&self) -> usize {
        self.max_bytes - RECORD_BYTES
    }
}

/// Adds where the sum stays within the bound.
fn take(counter: &AtomicUsize, amount: usize, max: usize) -> bool {
    let sum = |now: usize| now.checked_add(amount).filter(|sum| *sum <= max);
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
}
