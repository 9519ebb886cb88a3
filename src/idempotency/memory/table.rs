//! [`Table`]: the records of one shard.

use std::collections::HashMap;
use std::task::Waker;
use std::time::Duration;

use crate::idempotency::memory::ended::Ended;
use crate::idempotency::memory::expiries::Expiries;
use crate::idempotency::memory::hasher::ByKey;
use crate::idempotency::memory::room::{Room, Short};
use crate::idempotency::memory::waiters::Waiters;
use crate::idempotency::state::Record;
use crate::idempotency::store::{Abandon, Begin, BeginRequest, Fenced, Snapshot, StoredOutcome};
use crate::idempotency::{Claim, RecordKey};
use crate::time::Instant;

/// How many expired records each `begin` removes at most: more than the one that it may add.
const A_FEW: usize = 2;

/// Handed the time and the counters of the whole store, it owns neither clock nor lock.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: HashMap<RecordKey, u32, ByKey>,
    /// By slot.
    records: Vec<Option<(RecordKey, Record)>>,
    free: Vec<u32>,
    expiries: Expiries,
    ended: Ended,
    waiters: Waiters,
}

impl Table {
    /// Without room for a new record, says what is short.
    pub(super) fn begin(
        &mut self,
        request: &BeginRequest,
        now: Instant,
        room: &Room,
    ) -> Result<Begin, Short> {
        self.purge(now, A_FEW, room);
        if let Some(slot) = self.slots.get(&request.key).copied() {
            let record = self.record(slot);
            if !record.is_expired(now) {
                let begin = record.begin(request, now, || room.next_fence());
                if matches!(begin, Begin::Acquired(_) | Begin::Indeterminate) {
                    self.waiters.wake(&request.key);
                }
                return Ok(begin);
            }
            self.remove(slot, room);
        }
        room.admit()?;
        let (record, begin) = Record::first(request, now, room.next_fence());
        self.insert(request.key, record);
        Ok(begin)
    }

    pub(super) fn renew(&mut self, claim: &Claim, lease: Duration, now: Instant) -> Fenced {
        self.live(&claim.key, now)
            .map_or(Fenced::Lost, |slot| self.record(slot).renew(claim, lease, now))
    }

    pub(super) fn mark_effects(&mut self, claim: &Claim, now: Instant) -> Fenced {
        self.live(&claim.key, now)
            .map_or(Fenced::Lost, |slot| self.record(slot).mark_effects(claim))
    }

    /// Without room for the answer, gives the outcome back and does nothing.
    pub(super) fn complete(
        &mut self,
        claim: &Claim,
        outcome: StoredOutcome,
        retention: Duration,
        now: Instant,
        room: &Room,
    ) -> Result<Fenced, StoredOutcome> {
        let Some(slot) = self.live(&claim.key, now) else { return Ok(Fenced::Lost) };
        let record = self.record(slot);
        if !record.is_held_by(claim) {
            return Ok(record.complete(claim, outcome, retention, now));
        }
        if room.take(length(&outcome)).is_err() {
            return Err(outcome);
        }
        let fenced = record.complete(claim, outcome, retention, now);
        let expires_at = record.expires_at();
        self.expiries.at_latest(slot, expires_at);
        self.ended.push(slot, room.next_ending());
        self.waiters.wake(&claim.key);
        Ok(fenced)
    }

    pub(super) fn abandon(
        &mut self,
        claim: &Claim,
        how: Abandon,
        now: Instant,
        room: &Room,
    ) -> Fenced {
        let Some(slot) = self.live(&claim.key, now) else { return Fenced::Lost };
        let fenced = self.record(slot).abandon(claim, how);
        match (fenced, how) {
            (Fenced::Applied, Abandon::Release) => self.remove(slot, room),
            (Fenced::Applied, Abandon::Indeterminate) => self.waiters.wake(&claim.key),
            (Fenced::Lost, _) => {}
        }
        fenced
    }

    pub(super) fn inspect(&mut self, key: &RecordKey, now: Instant) -> Option<Snapshot> {
        self.live(key, now).map(|slot| self.record(slot).snapshot(now))
    }

    pub(super) fn forget(&mut self, key: &RecordKey, now: Instant, room: &Room) -> bool {
        let found = self.live(key, now);
        if let Some(slot) = found {
            self.remove(slot, room);
        }
        found.is_some()
    }

    /// Removes up to so many expired records, and says how many.
    pub(super) fn purge(&mut self, now: Instant, max: usize, room: &Room) -> usize {
        let mut removed = 0;
        while removed < max
            && let Some((at, slot)) = self.expiries.first()
            && at <= now
        {
            let expires_at = self.record(slot).expires_at();
            if expires_at <= now {
                self.remove(slot, room);
                removed += 1;
            } else {
                self.expiries.postpone_first(expires_at);
            }
        }
        removed
    }

    /// The number of the oldest ending whose answer takes room, among all of the store.
    pub(super) fn oldest_answer(&mut self) -> Option<u64> {
        self.oldest_answered().map(|(ending, _)| ending)
    }

    /// Makes a tombstone of that record.
    pub(super) fn demote_oldest(&mut self, room: &Room) {
        if let Some((_, slot)) = self.oldest_answered() {
            room.give_back(self.record(slot).demote());
        }
    }

    /// The number of the oldest ending, among all of the store.
    pub(super) fn oldest_ended(&self) -> Option<u64> {
        self.ended.oldest().map(|(ending, _)| ending)
    }

    pub(super) fn evict_oldest(&mut self, room: &Room) {
        if let Some((_, slot)) = self.ended.oldest() {
            self.remove(slot, room);
        }
    }

    /// Whether somebody holds the record now: if so, `waker` is woken when that changes. Gives
    /// back the waker that is of no use any more.
    pub(super) fn wait(
        &mut self,
        key: &RecordKey,
        id: &mut Option<u64>,
        waker: Waker,
        now: Instant,
    ) -> (bool, Option<Waker>) {
        if let Some(id) = *id {
            let (waits, unused) = self.waiters.keep(key, id, waker);
            return (waits, Some(unused));
        }
        let slot = self.live(key, now);
        if slot.is_some_and(|slot| self.record(slot).is_leased(now)) {
            *id = Some(self.waiters.register(*key, waker));
            return (true, None);
        }
        (false, Some(waker))
    }

    pub(super) fn waiters(&mut self) -> &mut Waiters {
        &mut self.waiters
    }

    fn oldest_answered(&mut self) -> Option<(u64, u32)> {
        let Self { ended, records, .. } = self;
        ended.oldest_answer(|slot| {
            records[slot as usize].as_ref().is_some_and(|(_, record)| record.answer_len() > 0)
        })
    }

    /// The slot of a record that has not expired.
    fn live(&mut self, key: &RecordKey, now: Instant) -> Option<u32> {
        let slot = *self.slots.get(key)?;
        (!self.record(slot).is_expired(now)).then_some(slot)
    }

    fn record(&mut self, slot: u32) -> &mut Record {
        let (_, record) = self.records[slot as usize].as_mut().expect("a slot in use");
        record
    }

    fn insert(&mut self, key: RecordKey, record: Record) {
        let expires_at = record.expires_at();
        let slot = if let Some(slot) = self.free.pop() {
            self.records[slot as usize] = Some((key, record));
            slot
        } else {
            let slot = u32::try_from(self.records.len()).expect("fewer than 2^32 records a shard");
            self.records.push(Some((key, record)));
            slot
        };
        self.slots.insert(key, slot);
        self.expiries.insert(slot, expires_at);
    }

    fn remove(&mut self, slot: u32, room: &Room) {
        let (key, record) = self.records[slot as usize].take().expect("a slot in use");
        self.slots.remove(&key);
        self.free.push(slot);
        self.expiries.remove(slot);
        self.ended.remove(slot);
        self.waiters.wake(&key);
        room.dismiss(record.answer_len());
    }
}

fn length(outcome: &StoredOutcome) -> usize {
    outcome.payload.as_ref().map_or(0, bytes::Bytes::len)
}
