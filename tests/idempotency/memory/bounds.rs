//! How much it holds, and what gives way.

use std::time::Duration;

use buttress::idempotency::RecordState::{self, Completed, InFlight, Indeterminate, Tombstone};
use buttress::idempotency::{
    Abandon, Begin, Fenced, MemoryStore, Store, StoreError, StoredOutcome,
};
use bytes::Bytes;

use super::{
    LEASE, RECORD, RETENTION, claim, complete, finish, key, request, state, states, try_claim,
};

async fn is_full(store: &MemoryStore, number: usize) -> bool {
    matches!(try_claim(store, number).await, Err(StoreError::Full))
}

#[tokio::test(start_paused = true)]
async fn a_claim_beyond_the_entries_is_refused_and_nothing_gives_way() {
    let store = MemoryStore::builder().max_entries(4).build();
    complete(&store, 0, 100).await;
    let held = claim(&store, 1).await;
    let unknown = claim(&store, 2).await;
    assert_eq!(store.abandon(&unknown, Abandon::Indeterminate).await.unwrap(), Fenced::Applied);
    let third = claim(&store, 3).await;
    assert!(is_full(&store, 4).await);
    let kept = [Completed, InFlight, Indeterminate, InFlight].map(Some);
    assert_eq!(states(&store, 4).await, kept);
    // Who is in goes on as if nothing were the matter.
    let replay = store.begin(request(0)).await.unwrap();
    assert_eq!(replay, Begin::Completed(StoredOutcome::new(200, vec![7; 100])));
    finish(&store, &held, 100).await;
    assert_eq!(store.abandon(&third, Abandon::Release).await.unwrap(), Fenced::Applied);
    claim(&store, 4).await;
}

#[tokio::test(start_paused = true)]
async fn the_oldest_answers_become_tombstones_when_bytes_run_out() {
    let store = MemoryStore::builder().max_bytes(4 * RECORD + 2_000).build();
    for number in 0..4 {
        complete(&store, number, 1_000).await;
    }
    let kept = [Tombstone, Tombstone, Completed, Completed].map(Some);
    assert_eq!(states(&store, 4).await, kept);
    assert_eq!((store.entries(), store.bytes()), (4, 4 * RECORD + 2_000));
    let Begin::Completed(outcome) = store.begin(request(0)).await.unwrap() else { panic!() };
    assert_eq!((outcome.tag, outcome.payload), (200, None));
}

#[tokio::test(start_paused = true)]
async fn a_claim_takes_the_room_of_an_answer_and_never_that_of_what_is_left_of_one() {
    let store = MemoryStore::builder().max_bytes(3 * RECORD).build();
    complete(&store, 0, RECORD).await;
    complete(&store, 1, 0).await;
    assert_eq!(states(&store, 2).await, [Completed, Completed].map(Some));
    claim(&store, 2).await;
    assert_eq!(states(&store, 3).await, [Tombstone, Completed, InFlight].map(Some));
    assert!(is_full(&store, 3).await, "nothing that it may take is left");
    assert_eq!(states(&store, 3).await, [Tombstone, Completed, InFlight].map(Some));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_is_the_first_that_was_completed_wherever_it_is_kept() {
    let store = MemoryStore::builder().max_bytes(40 * RECORD + 40 * 10).build();
    let mut claims = Vec::new();
    for number in 0..40 {
        claims.push(claim(&store, number).await);
    }
    for claim in claims.iter().rev() {
        finish(&store, claim, 10).await;
    }
    let refused = claim(&store, 40).await;
    assert_eq!(store.abandon(&refused, Abandon::Release).await.unwrap(), Fenced::Applied);
    // 26 answers of 10 bytes make room for a record: those that were completed first.
    let tombstones: Vec<_> = (14..40).collect();
    let found = states(&store, 40).await;
    let found: Vec<_> = (0..40).filter(|n| found[*n] == Some(Tombstone)).collect();
    assert_eq!(found, tombstones);
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_goes_first_and_costs_no_answer() {
    let store = MemoryStore::builder().max_entries(3).max_bytes(3 * RECORD + 100).build();
    for number in 0..2 {
        let held = claim(&store, number).await;
        let outcome = StoredOutcome::new(200, vec![7; 50]);
        let retention = Duration::from_secs(1 + 9 * number as u64);
        assert_eq!(store.complete(&held, outcome, retention).await.unwrap(), Fenced::Applied);
    }
    claim(&store, 2).await;
    assert!(is_full(&store, 3).await);
    tokio::time::advance(Duration::from_secs(1)).await;
    complete(&store, 3, 50).await;
    assert_eq!(states(&store, 4).await, [None, Some(Completed), Some(InFlight), Some(Completed)]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_fit_is_not_kept_and_costs_nobody_elses() {
    let store = MemoryStore::builder().max_bytes(3 * RECORD + 100).build();
    complete(&store, 0, 40).await;
    let _held = claim(&store, 1).await;
    complete(&store, 2, 101).await;
    assert_eq!(states(&store, 3).await, [Completed, InFlight, Tombstone].map(Some));
    assert_eq!(store.bytes(), 3 * RECORD + 40);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_a_claim_that_was_lost_costs_nothing() {
    let store = MemoryStore::builder().max_bytes(2 * RECORD + 100).build();
    complete(&store, 0, 80).await;
    let first = claim(&store, 1).await;
    tokio::time::advance(LEASE).await;
    claim(&store, 1).await;
    let outcome = StoredOutcome::new(200, vec![7; 100]);
    assert_eq!(store.complete(&first, outcome, RETENTION).await.unwrap(), Fenced::Lost);
    assert_eq!(states(&store, 2).await, [Completed, InFlight].map(Some));
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_fuller_than_the_others_does_not_refuse() {
    let store = MemoryStore::builder().max_entries(64).build();
    for number in 0..64 {
        claim(&store, number).await;
    }
    assert!(is_full(&store, 64).await);
}

#[tokio::test(start_paused = true)]
async fn evicting_forgets_the_oldest_that_has_ended_and_nothing_that_has_not() {
    let store = MemoryStore::builder().max_entries(4).evict_oldest_completed().build();
    let _held = claim(&store, 0).await;
    let unknown = claim(&store, 1).await;
    assert_eq!(store.abandon(&unknown, Abandon::Indeterminate).await.unwrap(), Fenced::Applied);
    complete(&store, 2, 10).await;
    complete(&store, 3, 10).await;
    claim(&store, 4).await;
    let kept = [Some(InFlight), Some(Indeterminate), None, Some(Completed), Some(InFlight)];
    assert_eq!(states(&store, 5).await, kept);
    claim(&store, 5).await;
    assert!(is_full(&store, 6).await, "nothing is left that has ended");
}

#[tokio::test(start_paused = true)]
async fn under_pressure_of_bytes_answers_go_before_records_are_forgotten() {
    let store = MemoryStore::builder().max_bytes(3 * RECORD).evict_oldest_completed().build();
    complete(&store, 0, 0).await;
    complete(&store, 1, RECORD).await;
    claim(&store, 2).await;
    assert_eq!(states(&store, 3).await, [Completed, Tombstone, InFlight].map(Some));
    claim(&store, 3).await;
    let kept = [None, Some(Tombstone), Some(InFlight), Some(InFlight)];
    assert_eq!(states(&store, 4).await, kept);
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_keep_the_buffer_that_it_is_a_part_of() {
    let store = MemoryStore::new();
    let held = claim(&store, 0).await;
    let buffer = Bytes::from(vec![7; 1 << 20]);
    let outcome = StoredOutcome::new(200, buffer.slice(10..20));
    assert_eq!(store.complete(&held, outcome, RETENTION).await.unwrap(), Fenced::Applied);
    assert!(buffer.is_unique());
    assert_eq!(store.bytes(), RECORD + 10);
}

#[tokio::test(start_paused = true)]
async fn bounds_that_leave_no_room_are_refused() {
    let error = MemoryStore::builder().max_entries(0).try_build().unwrap_err();
    assert_eq!(error.to_string(), "memory_store.max_entries is 0, allowed is 1 or more");
    let error = MemoryStore::builder().max_bytes(RECORD - 1).try_build().unwrap_err();
    assert_eq!(error.to_string(), "memory_store.max_bytes is 255, allowed is 256 or more");
    let smallest = MemoryStore::builder().max_entries(1).max_bytes(RECORD).build();
    complete(&smallest, 0, 1).await;
    assert_eq!(state(&smallest, 0).await, Some(Tombstone));
}

#[tokio::test(start_paused = true)]
async fn it_says_what_it_is_good_for() {
    let store = MemoryStore::builder().max_bytes(1_000).single_instance().build();
    let able = store.capabilities();
    assert_eq!((able.shared, able.durable, able.single_instance), (false, false, true));
    complete(&store, 0, able.max_payload).await;
    assert_eq!(state(&store, 0).await, Some(Completed));
    assert!(!MemoryStore::new().capabilities().single_instance);
    assert_eq!(format!("{store:?}"), "MemoryStore { entries: 1, bytes: 1000, .. }");
    let clone = store.clone();
    assert!(clone.forget(&key(0)).await.unwrap(), "clones share their records");
    assert_eq!(state(&store, 0).await, None::<RecordState>);
}
