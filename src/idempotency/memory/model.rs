//! The store against a naive model that keeps its records in a list and looks at all of them: for
//! the tests, and for `fuzz/`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::idempotency::memory::room::RECORD_BYTES;
use crate::idempotency::{
    Abandon, Begin, BeginRequest, Claim, Fence, Fenced, Fingerprint, LeaseExpiry, MemoryStore,
    OwnerId, RecordKey, RecordState, Snapshot, Store, StoreError, StoredOutcome,
};

/// How many keys there are: those below.
pub const KEYS: u8 = 8;

/// Milliseconds since the start.
type Millis = u64;

/// What the owners do. A claim is the nth last that was granted; keys, owners and fingerprints are
/// numbers.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // No part of the API.
pub enum Op {
    Wait(Millis),
    Begin {
        key: u8,
        fingerprint: u8,
        owner: u8,
        lease: Millis,
        retention: Millis,
        max_attempts: u32,
        takeover: bool,
    },
    Renew(usize, Millis),
    MarkEffects(usize),
    Complete(usize, usize, Millis),
    Abandon(usize, Abandon),
    Forget(u8),
    Purge(usize),
}

/// The bounds: entries, bytes, and whether the oldest that has ended makes room.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // No part of the API.
pub struct Bounds {
    pub entries: usize,
    pub bytes: usize,
    pub evicts: bool,
}

/// Panics where the store and the model differ in an answer or in what is left of a record.
///
/// # Panics
///
/// There.
pub fn run(bounds: Bounds, ops: impl IntoIterator<Item = Op>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(compare(bounds, ops));
}

async fn compare(bounds: Bounds, ops: impl IntoIterator<Item = Op>) {
    let mut builder = MemoryStore::builder().max_entries(bounds.entries).max_bytes(bounds.bytes);
    if bounds.evicts {
        builder = builder.evict_oldest_completed();
    }
    let store = builder.build();
    let mut model = Model::new(bounds);
    let mut claims: Vec<(u8, Claim)> = Vec::new();
    for op in ops {
        if let Op::Wait(millis) = op {
            tokio::time::advance(Duration::from_millis(millis)).await;
            model.now += millis;
            model.records.retain(|_, record| record.expires_at > model.now);
        }
        apply(&store, &mut model, &mut claims, op).await;
        for number in 0..KEYS {
            let kept = store.inspect(&key(number)).await.unwrap();
            let expected = model.records.get(&number).map(|record| record.snapshot(model.now));
            assert_eq!(kept, expected, "of {number} after {op:?}");
        }
        assert!(store.entries() <= bounds.entries && store.bytes() <= bounds.bytes);
    }
    store.purge_expired(usize::MAX).await.unwrap();
    assert_eq!((store.entries(), store.bytes()), (model.records.len(), model.bytes()));
}

async fn apply(store: &MemoryStore, model: &mut Model, claims: &mut Vec<(u8, Claim)>, op: Op) {
    let nth = |n: usize| claims.iter().rev().nth(n % claims.len().max(1));
    match op {
        Op::Wait(_) => {}
        Op::Begin { key: number, .. } => {
            let expected = model.begin(op);
            match (store.begin(request(op)).await, expected) {
                (Ok(answer), Some(expected)) => {
                    assert_eq!(answer, expected, "{op:?}");
                    if let Begin::Acquired(claim) = answer {
                        claims.push((number, claim));
                    }
                }
                (Err(StoreError::Full), None) => {}
                (answer, expected) => panic!("{op:?}: {answer:?}, not {expected:?}"),
            }
        }
        Op::Renew(n, lease) => {
            let Some((key, claim)) = nth(n) else { return };
            let fenced = store.renew(claim, Duration::from_millis(lease)).await.unwrap();
            assert_eq!(fenced, model.renew(*key, claim, lease), "{op:?}");
        }
        Op::MarkEffects(n) => {
            let Some((key, claim)) = nth(n) else { return };
            let fenced = store.mark_effects(claim).await.unwrap();
            assert_eq!(fenced, model.mark_effects(*key, claim), "{op:?}");
        }
        Op::Complete(n, length, retention) => {
            let Some((key, claim)) = nth(n) else { return };
            let lasts = Duration::from_millis(retention);
            let fenced = store.complete(claim, outcome(Some(length)), lasts).await.unwrap();
            assert_eq!(fenced, model.complete(*key, claim, length, retention), "{op:?}");
        }
        Op::Abandon(n, how) => {
            let Some((key, claim)) = nth(n) else { return };
            let fenced = store.abandon(claim, how).await.unwrap();
            assert_eq!(fenced, model.abandon(*key, claim, how), "{op:?}");
        }
        Op::Forget(number) => {
            let was_there = model.records.remove(&number).is_some();
            assert_eq!(store.forget(&key(number)).await.unwrap(), was_there);
        }
        Op::Purge(max) => assert!(store.purge_expired(max).await.unwrap() <= max),
    }
}

fn key(number: u8) -> RecordKey {
    RecordKey::from_bytes([number; 32])
}

fn outcome(length: Option<usize>) -> StoredOutcome {
    length.map_or(StoredOutcome::tombstone(200), |length| StoredOutcome::new(200, vec![7; length]))
}

fn request(op: Op) -> BeginRequest {
    let Op::Begin { key: number, fingerprint, owner, lease, retention, max_attempts, takeover } =
        op
    else {
        unreachable!("only a begin has a request")
    };
    let mut request = BeginRequest::new(
        key(number),
        Fingerprint::from_bytes([fingerprint; 32]),
        OwnerId::new(owner.into()),
        Duration::from_millis(lease),
        Duration::from_millis(retention),
    );
    request.max_attempts = max_attempts;
    if !takeover {
        request.on_lease_expiry = LeaseExpiry::Indeterminate;
    }
    request
}

struct Model {
    bounds: Bounds,
    now: Millis,
    fences: u64,
    endings: u64,
    records: BTreeMap<u8, Record>,
}

struct Record {
    fingerprint: u8,
    owner: u8,
    fence: u64,
    attempt: u32,
    effects: bool,
    state: State,
    expires_at: Millis,
}

#[derive(Clone, Copy)]
enum State {
    InFlight { until: Millis },
    Ended { ending: u64, length: Option<usize> },
    Indeterminate,
}

impl Record {
    fn length(&self) -> usize {
        match self.state {
            State::Ended { length, .. } => length.unwrap_or(0),
            _ => 0,
        }
    }

    fn ending(&self) -> Option<u64> {
        match self.state {
            State::Ended { ending, .. } => Some(ending),
            _ => None,
        }
    }

    fn is_of(&self, claim: &Claim) -> bool {
        u128::from(self.owner) == claim.owner.get() && self.fence == claim.fence.get()
    }

    fn holds(&self, claim: &Claim) -> bool {
        self.is_of(claim) && matches!(self.state, State::InFlight { .. })
    }

    fn acquired(&self, number: u8) -> Begin {
        let owner = OwnerId::new(self.owner.into());
        Begin::Acquired(Claim::new(key(number), owner, Fence::new(self.fence), self.attempt))
    }

    fn snapshot(&self, now: Millis) -> Snapshot {
        let state = match self.state {
            State::InFlight { .. } => RecordState::InFlight,
            State::Ended { length: Some(_), .. } => RecordState::Completed,
            State::Ended { length: None, .. } => RecordState::Tombstone,
            State::Indeterminate => RecordState::Indeterminate,
        };
        let left = |until: Millis| Duration::from_millis(until.saturating_sub(now));
        let fence = Fence::new(self.fence);
        let mut snapshot = Snapshot::new(state, self.attempt, fence, left(self.expires_at));
        snapshot.effects = self.effects;
        snapshot.payload_len = self.length();
        snapshot.tag = self.ending().map(|_| 200);
        if let State::InFlight { until } = self.state {
            snapshot.lease_remaining = Some(left(until));
        }
        snapshot
    }
}

impl Model {
    fn new(bounds: Bounds) -> Self {
        Self { bounds, now: 0, fences: 0, endings: 0, records: BTreeMap::new() }
    }

    fn bytes(&self) -> usize {
        self.records.values().map(|record| RECORD_BYTES + record.length()).sum()
    }

    /// `None` where there is no room.
    fn begin(&mut self, op: Op) -> Option<Begin> {
        let Op::Begin { key, fingerprint, owner, lease, retention, max_attempts, takeover } = op
        else {
            unreachable!("only a begin begins")
        };
        let (until, lasts) = (self.now + lease, self.now + retention.max(lease));
        let Some(record) = self.records.get_mut(&key) else {
            self.make_room()?;
            self.fences += 1;
            let (fence, state) = (self.fences, State::InFlight { until });
            let record = Record {
                fingerprint,
                owner,
                fence,
                attempt: 1,
                effects: false,
                state,
                expires_at: lasts,
            };
            let acquired = record.acquired(key);
            self.records.insert(key, record);
            return Some(acquired);
        };
        if record.fingerprint != fingerprint {
            return Some(Begin::Mismatch);
        }
        let leased = match record.state {
            State::Ended { length, .. } => return Some(Begin::Completed(outcome(length))),
            State::Indeterminate => return Some(Begin::Indeterminate),
            State::InFlight { until } => until,
        };
        if record.owner != owner && leased > self.now {
            let lease_remaining = Duration::from_millis(leased - self.now);
            return Some(Begin::InProgress { lease_remaining, attempt: record.attempt });
        }
        if record.owner != owner {
            if record.effects || !takeover || record.attempt >= max_attempts {
                record.state = State::Indeterminate;
                record.expires_at = record.expires_at.max(self.now + retention);
                return Some(Begin::Indeterminate);
            }
            self.fences += 1;
            (record.owner, record.fence) = (owner, self.fences);
            record.attempt += 1;
        }
        record.state = State::InFlight { until };
        record.expires_at = record.expires_at.max(lasts);
        Some(record.acquired(key))
    }

    fn make_room(&mut self) -> Option<()> {
        while self.records.len() >= self.bounds.entries
            || self.bytes() + RECORD_BYTES > self.bounds.bytes
        {
            let entries = self.records.len() >= self.bounds.entries;
            if (entries || !self.demote(RECORD_BYTES)) && !self.evict() {
                return None;
            }
        }
        Some(())
    }

    fn demote(&mut self, wanted: usize) -> bool {
        if self.records.len() * RECORD_BYTES + wanted > self.bounds.bytes {
            return false;
        }
        let answers = self.records.values_mut().filter(|record| record.length() > 0);
        let Some(oldest) = answers.min_by_key(|record| record.ending()) else { return false };
        if let State::Ended { length, .. } = &mut oldest.state {
            *length = None;
        }
        true
    }

    fn evict(&mut self) -> bool {
        let ended = self.records.iter().filter_map(|(key, record)| Some((record.ending()?, *key)));
        let oldest = ended.min().filter(|_| self.bounds.evicts);
        oldest.is_some_and(|(_, key)| self.records.remove(&key).is_some())
    }

    fn renew(&mut self, key: u8, claim: &Claim, lease: Millis) -> Fenced {
        let until = self.now + lease;
        self.write(key, claim, |record| {
            record.state = State::InFlight { until };
            record.expires_at = record.expires_at.max(until);
        })
    }

    fn mark_effects(&mut self, key: u8, claim: &Claim) -> Fenced {
        self.write(key, claim, |record| record.effects = true)
    }

    fn complete(&mut self, key: u8, claim: &Claim, length: usize, retention: Millis) -> Fenced {
        let Some(record) = self.records.get(&key) else { return Fenced::Lost };
        if record.ending().is_some() && record.is_of(claim) {
            return Fenced::Applied;
        }
        if !record.holds(claim) {
            return Fenced::Lost;
        }
        while self.bytes() + length > self.bounds.bytes && self.demote(length) {}
        let length = (self.bytes() + length <= self.bounds.bytes).then_some(length);
        self.endings += 1;
        let (state, expires_at) =
            (State::Ended { ending: self.endings, length }, self.now + retention);
        self.write(key, claim, |record| (record.state, record.expires_at) = (state, expires_at))
    }

    fn abandon(&mut self, key: u8, claim: &Claim, how: Abandon) -> Fenced {
        if how == Abandon::Release {
            let fenced = self.write(key, claim, |_| {});
            if fenced == Fenced::Applied {
                self.records.remove(&key);
            }
            return fenced;
        }
        let again = self.records.get(&key).is_some_and(|record| {
            matches!(record.state, State::Indeterminate) && record.is_of(claim)
        });
        let fenced = self.write(key, claim, |record| record.state = State::Indeterminate);
        if again { Fenced::Applied } else { fenced }
    }

    fn write(&mut self, key: u8, claim: &Claim, write: impl FnOnce(&mut Record)) -> Fenced {
        match self.records.get_mut(&key) {
            Some(record) if record.holds(claim) => {
                write(record);
                Fenced::Applied
            }
            _ => Fenced::Lost,
        }
    }
}
