//! How much it holds, and what gives way.

use buttress::idempotency::RecordState::{Completed, Tombstone};
use buttress::idempotency::{Begin, MemoryStore, Store};

use super::{RECORD, complete, request, states};

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
