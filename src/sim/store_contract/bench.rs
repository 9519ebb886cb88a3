//! [`Bench`]: a store on trial, and the requests that it is asked.

use std::sync::Arc;
use std::time::Duration;

use crate::idempotency::{
    Begin, BeginRequest, Claim, Fenced, Fingerprint, OwnerId, RecordKey, RecordState, Snapshot,
    Store, StoredOutcome,
};
use crate::{rng, time};

/// What no test waits for.
pub(super) const LONG: Duration = Duration::from_secs(3600);
/// A lease that has lapsed, or a retention that is over, as soon as it is granted.
pub(super) const NONE: Duration = Duration::ZERO;

/// A store on trial. Keys are drawn by chance, so benches may share what the store keeps its
/// records in.
#[derive(Debug)]
pub struct Bench<S> {
    pub(super) store: Arc<S>,
    pub(super) pause: Duration,
}

impl<S: Store> Bench<S> {
    /// A bench for this store.
    pub fn new(store: S) -> Self {
        Self { store: Arc::new(store), pause: Duration::from_millis(100) }
    }

    /// The length of the leases and retentions that a clause waits for. No clause fails because
    /// the store took longer to answer. Default: 100 ms.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Until what lasts as long as [`pause`](Self::pause) is over.
    pub(super) async fn sleep(&self) {
        let slack = Duration::from_millis(5);
        time::sleep_until(time::later(time::now(), self.pause + slack)).await;
    }

    #[track_caller]
    pub(super) fn acquired(answer: Begin) -> Claim {
        match answer {
            Begin::Acquired(claim) => claim,
            other => panic!("{other:?}, where the request was to be acquired"),
        }
    }

    pub(super) async fn begin(&self, request: &BeginRequest) -> Begin {
        self.store.begin(request.clone()).await.expect("the store answers a begin")
    }

    pub(super) async fn acquire(&self, request: &BeginRequest) -> Claim {
        Self::acquired(self.begin(request).await)
    }

    pub(super) async fn complete(&self, claim: &Claim, outcome: StoredOutcome) -> Fenced {
        self.store.complete(claim, outcome, LONG).await.expect("the store answers a complete")
    }

    pub(super) async fn inspect(&self, key: &RecordKey) -> Option<Snapshot> {
        self.store.inspect(key).await.expect("the store answers an inspect")
    }

    pub(super) async fn state(&self, key: &RecordKey) -> Option<RecordState> {
        self.inspect(key).await.map(|snapshot| snapshot.state)
    }
}

/// A request with a key and an owner of its own, that lasts.
pub(super) fn request() -> BeginRequest {
    let key = RecordKey::from_bytes(*Fingerprint::of(rng::identifier().to_be_bytes()).as_bytes());
    BeginRequest::new(key, Fingerprint::of("one"), OwnerId::random(), LONG, LONG)
}

/// The same request, sent once more.
pub(super) fn duplicate(request: &BeginRequest) -> BeginRequest {
    BeginRequest { owner: OwnerId::random(), ..request.clone() }
}

/// The same key, for something else.
pub(super) fn misuse(request: &BeginRequest) -> BeginRequest {
    BeginRequest { fingerprint: Fingerprint::of("other"), ..duplicate(request) }
}

/// A request whose lease has lapsed as soon as it is granted.
pub(super) fn lapsing() -> BeginRequest {
    BeginRequest { lease: NONE, ..request() }
}

/// Every byte there is, so that nothing on its way takes it for text.
pub(super) fn outcome() -> StoredOutcome {
    StoredOutcome::new(201, (0..=u8::MAX).chain(*b"\r\n\0%s'\\").collect::<Vec<_>>())
}
