//! When a record is gone, and that it is gone for good.

use std::time::Duration;

use buttress::idempotency::RecordState::{Completed, InFlight};
use buttress::idempotency::{Begin, Fenced, MemoryStore, Store, StoredOutcome};

use super::{LEASE, RECORD, RETENTION, claim, complete, finish, key, request, state};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn an_answer_is_there_until_its_retention_is_over_and_not_a_moment_longer() {
    let store = MemoryStore::new();
    complete(&store, 0, 10).await;
    tokio::time::advance(RETENTION - MS).await;
    assert_eq!(state(&store, 0).await, Some(Completed));
    tokio::time::advance(MS).await;
    assert_eq!(state(&store, 0).await, None);
    assert!(!store.forget(&key(0)).await.unwrap(), "there is none to forget");
    assert_eq!(claim(&store, 0).await.attempt, 1);
    assert_eq!((store.entries(), store.bytes()), (1, RECORD));
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_record_has_expired_writes_nothing() {
    let store = MemoryStore::new();
    let held = claim(&store, 0).await;
    tokio::time::advance(RETENTION).await;
    let outcome = StoredOutcome::new(200, "late");
    assert_eq!(store.renew(&held, LEASE).await.unwrap(), Fenced::Lost);
    assert_eq!(store.mark_effects(&held).await.unwrap(), Fenced::Lost);
    assert_eq!(store.complete(&held, outcome, RETENTION).await.unwrap(), Fenced::Lost);
    assert_eq!(state(&store, 0).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_call_longer_than_the_retention_keeps_its_record_while_it_runs() {
    let store = MemoryStore::new();
    let mut short = request(0);
    short.retention = LEASE;
    let Begin::Acquired(held) = store.begin(short).await.unwrap() else { panic!() };
    for _ in 0..10 {
        tokio::time::advance(LEASE - MS).await;
        assert_eq!(store.renew(&held, LEASE).await.unwrap(), Fenced::Applied);
        assert_eq!(store.purge_expired(usize::MAX).await.unwrap(), 0);
    }
    finish(&store, &held, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_retention_that_completion_shortens_is_over_that_much_sooner() {
    let store = MemoryStore::new();
    let held = claim(&store, 0).await;
    let outcome = StoredOutcome::new(200, "soon gone");
    assert_eq!(store.complete(&held, outcome, LEASE).await.unwrap(), Fenced::Applied);
    tokio::time::advance(LEASE).await;
    assert_eq!(store.purge_expired(usize::MAX).await.unwrap(), 1);
    assert_eq!((store.entries(), store.bytes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_purge_removes_what_has_expired_and_no_more_than_it_is_asked_to() {
    let store = MemoryStore::new();
    for number in 0..1_000 {
        complete(&store, number, 10).await;
    }
    tokio::time::advance(RETENTION - LEASE).await;
    let _held = claim(&store, 1_000).await;
    tokio::time::advance(LEASE - MS).await;
    assert_eq!(store.purge_expired(usize::MAX).await.unwrap(), 0);
    tokio::time::advance(MS).await;
    assert_eq!(store.purge_expired(300).await.unwrap(), 300);
    assert_eq!(store.entries(), 701);
    assert_eq!(store.purge_expired(usize::MAX).await.unwrap(), 700);
    assert_eq!((store.entries(), store.bytes()), (1, RECORD));
    assert_eq!(state(&store, 1_000).await, Some(InFlight));
}

/// Whatever is behind the map does not grow either: see `memory_stays_that_of_what_is_alive`.
#[tokio::test(start_paused = true)]
async fn a_million_keys_that_expire_leave_the_store_as_it_was() {
    let store = MemoryStore::new();
    let mut most = 0;
    for number in 0..1_000_000 {
        complete(&store, number, 0).await;
        most = most.max(store.entries());
        if number % 1_000 == 999 {
            tokio::time::advance(RETENTION / 2).await;
        }
    }
    // Two halves of a retention are alive at a time; each `begin` removes up to two of the rest
    // of its shard.
    assert!(most <= 4_000, "{most} records at once");
    tokio::time::advance(RETENTION).await;
    store.purge_expired(usize::MAX).await.unwrap();
    assert_eq!((store.entries(), store.bytes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn memory_stays_that_of_what_is_alive() {
    const KEYS: usize = 10_000;
    let store = MemoryStore::new();
    let round = async |base: usize| {
        for number in base..base + KEYS {
            let held = claim(&store, number).await;
            match number % 3 {
                0 => finish(&store, &held, 0).await,
                1 => assert!(store.forget(&key(number)).await.unwrap()),
                _ => {
                    let release = buttress::idempotency::Abandon::Release;
                    assert_eq!(store.abandon(&held, release).await.unwrap(), Fenced::Applied);
                }
            }
        }
        tokio::time::advance(RETENTION).await;
        store.purge_expired(usize::MAX).await.unwrap();
    };
    // Until each part has been as large as chance makes it.
    for number in 0..10 {
        round(number * KEYS).await;
    }
    let ((), grown) = grown(async {
        for number in 10..20 {
            round(number * KEYS).await;
        }
    })
    .await;
    assert_eq!(grown, 0, "bytes more");
}

/// The bytes that were taken and not given back, by what does not wait for anybody else.
async fn grown<T>(work: impl Future<Output = T>) -> (T, i64) {
    let mut work = std::pin::pin!(work);
    let mut total = 0;
    let answer = std::future::poll_fn(|cx| {
        let mut polled = None;
        let counted = allocation_counter::measure(|| polled = Some(work.as_mut().poll(cx)));
        total += counted.bytes_current;
        polled.expect("it was polled")
    })
    .await;
    (answer, total)
}
