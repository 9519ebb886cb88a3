//! Requests for a store, as a test wants them.

use std::time::Duration;

use buttress::idempotency::{Begin, BeginRequest, Claim, Fingerprint, OwnerId, RecordKey, Store};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A request with a key and an owner of its own.
pub(crate) fn request() -> BeginRequest {
    let owner = OwnerId::random();
    let key = Fingerprint::of(OwnerId::random().get().to_be_bytes());
    let key = RecordKey::from_bytes(*key.as_bytes());
    BeginRequest::new(key, Fingerprint::of("body"), owner, HOUR, HOUR)
}

/// The same request, sent once more by somebody else.
pub(crate) fn duplicate(request: &BeginRequest) -> BeginRequest {
    let mut duplicate = request.clone();
    duplicate.owner = OwnerId::random();
    duplicate
}

/// Begins it, which must succeed.
pub(crate) async fn acquire(store: &impl Store, request: &BeginRequest) -> Claim {
    match store.begin(request.clone()).await.expect("an answer") {
        Begin::Acquired(claim) => claim,
        other => panic!("{other:?}, where the request was to be acquired"),
    }
}
