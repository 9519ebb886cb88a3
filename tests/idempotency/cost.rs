//! What a protected request takes from the allocator: little, and a future of the store once.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use buttress::idempotency::{
    Abandon, Begin, BeginRequest, Body, Claim, DynStore, Fenced, IdempotencyLayer, MemoryStore,
    RecordKey, Snapshot, Store, StoreError, StoredOutcome,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

/// Waits once, with this much in its future.
async fn with_room<const SIZE: usize>() {
    let room = black_box([1_u8; SIZE]);
    tokio::task::yield_now().await;
    black_box(&room);
}

/// A store whose futures are of this size.
struct Roomy<const SIZE: usize>(MemoryStore);

impl<const SIZE: usize> Store for Roomy<SIZE> {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        with_room::<SIZE>().await;
        self.0.begin(request).await
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Fenced, StoreError> {
        with_room::<SIZE>().await;
        self.0.renew(claim, lease).await
    }

    async fn mark_effects(&self, claim: &Claim) -> Result<Fenced, StoreError> {
        with_room::<SIZE>().await;
        self.0.mark_effects(claim).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        outcome: StoredOutcome,
        retention: Duration,
    ) -> Result<Fenced, StoreError> {
        with_room::<SIZE>().await;
        self.0.complete(claim, outcome, retention).await
    }

    async fn abandon(&self, claim: &Claim, how: Abandon) -> Result<Fenced, StoreError> {
        with_room::<SIZE>().await;
        self.0.abandon(claim, how).await
    }

    async fn inspect(&self, key: &RecordKey) -> Result<Option<Snapshot>, StoreError> {
        with_room::<SIZE>().await;
        self.0.inspect(key).await
    }

    async fn forget(&self, key: &RecordKey) -> Result<bool, StoreError> {
        with_room::<SIZE>().await;
        self.0.forget(key).await
    }

    async fn changed(&self, key: &RecordKey) {
        with_room::<SIZE>().await;
        self.0.changed(key).await;
    }
}

fn memory() -> MemoryStore {
    MemoryStore::builder().single_instance().build()
}

/// What a request takes that runs, with a future of this size in its handler. Its most at any time
/// includes the record.
fn one<St: Store, const HANDLER: usize>(store: St) -> AllocationInfo {
    let layer = IdempotencyLayer::builder(store).unscoped().build();
    let handler = service_fn(|request: Request<Body<Full<Bytes>>>| {
        drop(request);
        async {
            if HANDLER > 0 {
                with_room::<HANDLER>().await;
            }
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ordered"))))
        }
    });
    let service = layer.layer(handler);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let run = |key: &str| {
        let request = Request::post("/orders").header("idempotency-key", key);
        let request = request.body(Full::new(Bytes::from_static(b"{}"))).unwrap();
        let call = service.clone();
        measure(|| {
            let response = runtime.block_on(call.oneshot(request)).unwrap();
            assert!(!response.headers().contains_key("idempotency-replayed"));
        })
    };
    // The first makes what is shared.
    for first in 0..100 {
        run(&format!("first-{first}"));
    }
    run("second")
}

fn most<St: Store, const HANDLER: usize>(store: St) -> u64 {
    one::<St, HANDLER>(store).bytes_max
}

#[test]
fn a_protected_request_takes_eight_kilobytes_at_most() {
    let boxed: Arc<dyn DynStore> = Arc::new(memory());
    for (name, taken) in [("memory", one::<_, 0>(memory())), ("boxed", one::<_, 0>(boxed))] {
        assert!(taken.bytes_total <= 8 * 1024, "{name}: {taken:?}");
        assert!(taken.count_total <= 26, "{name}: {taken:?}");
    }
}

#[test]
fn a_future_of_the_store_has_room_once() {
    let small = most::<_, 0>(Roomy::<4096>(memory()));
    let large = most::<_, 0>(Roomy::<8192>(memory()));
    assert_eq!((large - small) / 4096, 1, "{small} and {large}");
}

/// In the request's task, and in what its caller holds: there it runs the requests that pass.
#[test]
fn a_future_of_the_handler_has_room_twice() {
    let small = most::<_, 4096>(memory());
    let large = most::<_, 8192>(memory());
    assert_eq!((large - small) / 4096, 2, "{small} and {large}");
}
