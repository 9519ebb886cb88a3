//! Many at once, on several threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buttress::idempotency::{Begin, MemoryStore, Store, StoredOutcome};
use futures::future::join_all;
use tokio::sync::Barrier;

use super::{RECORD, finish, key, request};

const CALLERS: usize = 32;

/// Asks until it is told what came of it. Says whether it was the one to run it.
async fn call(store: &MemoryStore, number: usize) -> bool {
    loop {
        match store.begin(request(number)).await.unwrap() {
            Begin::Acquired(held) => {
                finish(store, &held, number % 50).await;
                return true;
            }
            Begin::InProgress { .. } => store.changed(&key(number)).await,
            Begin::Completed(outcome) => {
                assert_eq!(outcome, StoredOutcome::new(200, vec![7; number % 50]));
                return false;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_32_who_call_together_one_runs_and_all_get_its_answer() {
    let store = MemoryStore::new();
    for number in 0..500 {
        let barrier = Arc::new(Barrier::new(CALLERS));
        let callers = (0..CALLERS).map(|_| {
            let (store, barrier) = (store.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                call(&store, number).await
            })
        });
        let ran = join_all(callers).await.into_iter().filter(|ran| *ran.as_ref().unwrap()).count();
        assert_eq!(ran, 1, "for key {number}");
    }
}

/// Full most of the time: whoever is let in completes, and what is counted adds up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_pressure_from_all_sides_the_bounds_hold() {
    const ENTRIES: usize = 64;
    const BYTES: usize = ENTRIES * RECORD + 300;
    let store = MemoryStore::builder()
        .max_entries(ENTRIES)
        .max_bytes(BYTES)
        .evict_oldest_completed()
        .build();
    let (let_in, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let counts = Arc::new((let_in, refused));
    let callers = (0..CALLERS).map(|caller| {
        let (store, counts) = (store.clone(), counts.clone());
        tokio::spawn(async move {
            for number in 0..2_000 {
                match store.begin(request(caller * 2_000 + number)).await {
                    Ok(Begin::Acquired(held)) => {
                        tokio::task::yield_now().await;
                        finish(&store, &held, number % 100).await;
                        counts.0.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => drop(counts.1.fetch_add(1, Ordering::Relaxed)),
                }
                assert!(store.entries() <= ENTRIES && store.bytes() <= BYTES);
            }
        })
    });
    join_all(callers).await.into_iter().for_each(|caller| caller.unwrap());
    // 32 in flight at most, of 64: there is always one that has ended.
    assert_eq!((counts.0.load(Ordering::Relaxed), counts.1.load(Ordering::Relaxed)), (64_000, 0));
    let mut bytes = 0;
    for number in 0..CALLERS * 2_000 {
        if let Some(record) = store.inspect(&key(number)).await.unwrap() {
            bytes += RECORD + record.payload_len;
        }
    }
    assert_eq!(store.bytes(), bytes);
}
