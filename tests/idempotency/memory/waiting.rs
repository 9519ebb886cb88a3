//! Who is woken when a record changes.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use buttress::idempotency::{Abandon, Begin, Fenced, MemoryStore, Store};
use futures::future::join_all;
use tokio::task::JoinHandle;

use super::{LEASE, claim, finish, key, request};

/// So many tasks that wait for record 0, each by then asleep.
async fn waiters(store: &MemoryStore, count: usize) -> Vec<JoinHandle<()>> {
    let wait = |store: MemoryStore| async move { store.changed(&key(0)).await };
    let waiters: Vec<_> = (0..count).map(|_| tokio::spawn(wait(store.clone()))).collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()), "nothing has changed yet");
    waiters
}

fn is_ready_at_once(store: &MemoryStore) -> bool {
    let key = key(0);
    let changed = pin!(store.changed(&key));
    changed.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[tokio::test(start_paused = true)]
async fn a_completion_wakes_all_who_wait() {
    let store = MemoryStore::new();
    let held = claim(&store, 0).await;
    let waiters = waiters(&store, 32).await;
    finish(&store, &held, 10).await;
    for waiter in join_all(waiters).await {
        waiter.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn so_do_both_ways_to_give_up_and_an_operator() {
    for end in 0..3 {
        let store = MemoryStore::new();
        let held = claim(&store, 0).await;
        let waiters = waiters(&store, 3).await;
        match end {
            0 => assert_eq!(store.abandon(&held, Abandon::Release).await.unwrap(), Fenced::Applied),
            1 => {
                let fenced = store.abandon(&held, Abandon::Indeterminate).await.unwrap();
                assert_eq!(fenced, Fenced::Applied);
            }
            _ => assert!(store.forget(&key(0)).await.unwrap()),
        }
        join_all(waiters).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_takeover_wakes_too() {
    let store = MemoryStore::new();
    let _abandoned = claim(&store, 0).await;
    let waiters = waiters(&store, 3).await;
    tokio::time::advance(LEASE).await;
    let Begin::Acquired(second) = store.begin(request(0)).await.unwrap() else { panic!() };
    assert_eq!(second.attempt, 2);
    join_all(waiters).await;
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_other_records_wakes_nobody() {
    let store = MemoryStore::new();
    let _held = claim(&store, 0).await;
    let waiters = waiters(&store, 3).await;
    for number in 1..200 {
        let other = claim(&store, number).await;
        finish(&store, &other, 1).await;
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_and_a_mark_wake_nobody() {
    let store = MemoryStore::new();
    let held = claim(&store, 0).await;
    let waiters = waiters(&store, 3).await;
    assert_eq!(store.renew(&held, LEASE).await.unwrap(), Fenced::Applied);
    assert_eq!(store.mark_effects(&held).await.unwrap(), Fenced::Applied);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn there_is_nothing_to_wait_for_where_nobody_holds_the_record() {
    let store = MemoryStore::new();
    assert!(is_ready_at_once(&store), "absent");
    let held = claim(&store, 0).await;
    assert!(!is_ready_at_once(&store), "held");
    tokio::time::advance(LEASE).await;
    assert!(is_ready_at_once(&store), "its lease is over: the next `begin` takes it");
    finish(&store, &held, 1).await;
    assert!(is_ready_at_once(&store), "completed");
}
