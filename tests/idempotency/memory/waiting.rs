//! `changed`.

use buttress::idempotency::{MemoryStore, Store};
use futures::future::join_all;

use super::{claim, finish, key};

#[tokio::test(start_paused = true)]
async fn a_completion_wakes_all_who_wait() {
    let store = MemoryStore::new();
    let held = claim(&store, 0).await;
    let waiters: Vec<_> = (0..32)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.changed(&key(0)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()), "nothing has changed yet");
    finish(&store, &held, 10).await;
    for waiter in join_all(waiters).await {
        waiter.unwrap();
    }
}
