//! The store in memory: its bounds, its clock, and who is woken.

mod bounds;
mod expiry;
mod races;
mod waiting;

use std::time::Duration;

use buttress::idempotency::{
    Begin, BeginRequest, Claim, Fingerprint, MemoryStore, OwnerId, RecordKey, RecordState, Store,
    StoreError, StoredOutcome,
};

/// What a record counts for, without its answer.
const RECORD: usize = 256;
const LEASE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(86_400);

fn key(number: usize) -> RecordKey {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    RecordKey::from_bytes(bytes)
}

fn request(number: usize) -> BeginRequest {
    let fingerprint = Fingerprint::of(number.to_be_bytes());
    BeginRequest::new(key(number), fingerprint, OwnerId::random(), LEASE, RETENTION)
}

async fn try_claim(store: &MemoryStore, number: usize) -> Result<Claim, StoreError> {
    match store.begin(request(number)).await? {
        Begin::Acquired(claim) => Ok(claim),
        other => panic!("{other:?} for {number}"),
    }
}

async fn claim(store: &MemoryStore, number: usize) -> Claim {
    try_claim(store, number).await.unwrap()
}

/// Claims and completes with an answer of this length.
async fn complete(store: &MemoryStore, number: usize, length: usize) {
    let claim = claim(store, number).await;
    finish(store, &claim, length).await;
}

async fn finish(store: &MemoryStore, claim: &Claim, length: usize) {
    let outcome = StoredOutcome::new(200, vec![7; length]);
    let fenced = store.complete(claim, outcome, RETENTION).await.unwrap();
    assert_eq!(fenced, buttress::idempotency::Fenced::Applied);
}

async fn state(store: &MemoryStore, number: usize) -> Option<RecordState> {
    store.inspect(&key(number)).await.unwrap().map(|snapshot| snapshot.state)
}

/// The states of the first so many records.
async fn states(store: &MemoryStore, count: usize) -> Vec<Option<RecordState>> {
    let mut states = Vec::new();
    for number in 0..count {
        states.push(state(store, number).await);
    }
    states
}
