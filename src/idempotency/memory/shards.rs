//! [`Shards`]: the tables behind their locks, and what is done across them.

use std::time::Duration;

use crate::idempotency::memory::hasher;
use crate::idempotency::memory::room::{RECORD_BYTES, Room, Short};
use crate::idempotency::memory::table::Table;
use crate::idempotency::store::{Begin, BeginRequest, Fenced, StoreError, StoredOutcome};
use crate::idempotency::{Claim, RecordKey};
use crate::sync::{Mutex, lock, stripes::Padded};
use crate::time::{self, Instant};

/// Two under loom, where each lock more multiplies the work.
const SHARDS: usize = if cfg!(any(buttress_loom, buttress_shuttle)) { 2 } else { 16 };

/// How many expired records of a shard are removed at once, to hold its lock for microseconds.
const A_BATCH: usize = 64;

#[derive(Debug)]
pub(super) struct Shards {
    tables: [Padded<Mutex<Table>>; SHARDS],
    room: Room,
    evicts: bool,
}

impl Shards {
    pub(super) fn new(room: Room, evicts: bool) -> Self {
        Self { tables: std::array::from_fn(|_| Padded::default()), room, evicts }
    }

    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// Acts on the table of a key, and then wakes those who waited for what changed.
    pub(super) fn on<T>(&self, key: &RecordKey, act: impl FnOnce(&mut Table, Instant) -> T) -> T {
        self.at(Self::shard(key), act)
    }

    /// By bits that the map makes no use of.
    pub(super) fn shard(key: &RecordKey) -> usize {
        (hasher::hash(key) >> 40) as usize % SHARDS
    }

    pub(super) fn begin(&self, request: &BeginRequest) -> Result<Begin, StoreError> {
        loop {
            match self.on(&request.key, |table, now| table.begin(request, now, &self.room)) {
                Ok(answer) => return Ok(answer),
                Err(short) if self.make_room(short) => {}
                Err(_) => return Err(StoreError::Full),
            }
        }
    }

    pub(super) fn complete(
        &self,
        claim: &Claim,
        mut outcome: StoredOutcome,
        retention: Duration,
    ) -> Fenced {
        loop {
            let length = outcome.payload.as_ref().map_or(0, bytes::Bytes::len);
            let completed = self.on(&claim.key, |table, now| {
                table.complete(claim, outcome, retention, now, &self.room)
            });
            outcome = match completed {
                Ok(fenced) => return fenced,
                Err(outcome) => outcome,
            };
            if !(self.expire() || self.demote(length)) {
                outcome.payload = None;
            }
        }
    }

    pub(super) fn purge(&self, max: usize) -> usize {
        let mut removed = 0;
        for shard in 0..SHARDS {
            while removed < max {
                let batch = (max - removed).min(A_BATCH);
                let gone = self.at(shard, |table, now| table.purge(now, batch, &self.room));
                removed += gone;
                if gone < batch {
                    break;
                }
            }
        }
        removed
    }

    /// Makes some room for a record, and says whether it did. Without a lock held: it may be in
    /// any shard.
    fn make_room(&self, short: Short) -> bool {
        // Answers take bytes, not entries.
        self.expire()
            || short == Short::Bytes && self.demote(RECORD_BYTES)
            || self.evicts && self.evict()
    }

    /// Removes some of what has expired, and says whether there was any.
    fn expire(&self) -> bool {
        let early = Duration::from_secs(u64::from(cfg!(mutant = "in-flight-evicted")));
        let purge =
            |shard| self.at(shard, |table, now| table.purge(now + early, A_BATCH, &self.room));
        (0..SHARDS).map(purge).sum::<usize>() > 0
    }

    /// Drops the oldest answer, where that can help: what could not fit if all were dropped costs
    /// nobody else's.
    fn demote(&self, wanted: usize) -> bool {
        self.room.could_take(wanted)
            && self.on_oldest(Table::oldest_answer, |table| table.demote_oldest(&self.room))
    }

    /// Forgets the oldest record that has ended.
    fn evict(&self) -> bool {
        self.on_oldest(|table| table.oldest_ended(), |table| table.evict_oldest(&self.room))
    }

    /// Acts on the table with the oldest of what `age` looks at, and says whether there was one.
    /// One lock at a time: where somebody else was faster, there is room as well.
    fn on_oldest(
        &self,
        age: impl Fn(&mut Table) -> Option<u64>,
        act: impl FnOnce(&mut Table),
    ) -> bool {
        let oldest = (0..SHARDS)
            .filter_map(|shard| Some((self.at(shard, |table, _| age(table))?, shard)))
            .min();
        if let Some((_, shard)) = oldest {
            self.at(shard, |table, _| act(table));
        }
        oldest.is_some()
    }

    #[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
    pub(super) fn nobody_waits(&self) -> bool {
        (0..SHARDS).all(|shard| self.at(shard, |table, _| table.waiters().is_empty()))
    }

    fn at<T>(&self, shard: usize, act: impl FnOnce(&mut Table, Instant) -> T) -> T {
        let mut table = lock(&self.tables[shard].0);
        // After the wait for the lock: a time from before it could be earlier than what the table
        // has seen already.
        let answer = act(&mut table, time::now());
        let woken = table.waiters().take_woken();
        drop(table);
        woken.into_iter().for_each(std::task::Waker::wake);
        answer
    }
}
