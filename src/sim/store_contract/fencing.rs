//! Who may write, and what every write leaves behind.

#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "the name of a clause is its sentence, and each panics where it does not hold"
)]

use std::time::Duration;

use super::bench::{LONG, duplicate, lapsing, misuse, outcome, request};
use crate::idempotency::{
    Abandon, Begin, Claim, Fence, Fenced, OwnerId, RecordState, Store, StoredOutcome,
};
use crate::sim::store_contract::Bench;

pub async fn a_completion_repeated_by_its_claim_is_applied<S: Store>(bench: &Bench<S>) {
    for outcome in [outcome(), StoredOutcome::tombstone(200)] {
        let request = request();
        let claim = bench.acquire(&request).await;
        for _ in 0..3 {
            assert_eq!(bench.complete(&claim, outcome.clone()).await, Fenced::Applied);
        }
        assert_eq!(bench.begin(&duplicate(&request)).await, Begin::Completed(outcome));
    }
}

pub async fn a_completion_is_never_overwritten<S: Store>(bench: &Bench<S>) {
    let request = request();
    let claim = bench.acquire(&request).await;
    assert_eq!(bench.complete(&claim, outcome()).await, Fenced::Applied);
    let late = StoredOutcome::new(500, "something else");
    let again = bench.store.complete(&claim, late, Duration::ZERO).await.unwrap();
    assert_eq!(again, Fenced::Applied);
    assert_eq!(bench.begin(&duplicate(&request)).await, Begin::Completed(outcome()));
}

/// Every write that a claim authorises must answer `Lost`, and leave the record as it is.
async fn writes_nothing<S: Store>(bench: &Bench<S>, claim: &Claim) {
    let before = bench.inspect(&claim.key).await;
    let store = &bench.store;
    assert_eq!(store.renew(claim, LONG * 9).await.unwrap(), Fenced::Lost, "renew");
    assert_eq!(store.mark_effects(claim).await.unwrap(), Fenced::Lost, "mark_effects");
    assert_eq!(bench.complete(claim, outcome()).await, Fenced::Lost, "complete");
    for how in [Abandon::Release, Abandon::Indeterminate] {
        assert_eq!(store.abandon(claim, how).await.unwrap(), Fenced::Lost, "{how:?}");
    }
    let after = bench.inspect(&claim.key).await;
    let essence = |snapshot: Option<crate::idempotency::Snapshot>| {
        snapshot.map(|s| (s.state, s.attempt, s.fence, s.effects, s.payload_len, s.tag))
    };
    if let (Some(before), Some(after)) = (&before, &after) {
        assert!(after.expires_in <= before.expires_in, "the record lasts longer than before");
        assert!(after.lease_remaining <= before.lease_remaining, "the lease is longer than before");
    }
    assert_eq!(essence(after), essence(before));
}

pub async fn a_claim_that_was_taken_over_writes_nothing<S: Store>(bench: &Bench<S>) {
    let request = lapsing();
    let stale = bench.acquire(&request).await;
    let next = bench.acquire(&duplicate(&request)).await;
    writes_nothing(bench, &stale).await;
    assert_eq!(bench.complete(&next, outcome()).await, Fenced::Applied);
    writes_nothing(bench, &stale).await;
    assert_eq!(bench.begin(&duplicate(&request)).await, Begin::Completed(outcome()));
}

pub async fn a_claim_with_another_owner_or_fence_writes_nothing<S: Store>(bench: &Bench<S>) {
    let request = request();
    let Claim { key, owner, fence, attempt, .. } = bench.acquire(&request).await;
    let (above, below) = (Fence::new(fence.get() + 1), Fence::new(fence.get() - 1));
    for (owner, fence) in [(OwnerId::random(), fence), (owner, above), (owner, below)] {
        writes_nothing(bench, &Claim::new(key, owner, fence, attempt)).await;
    }
    let claim = Claim::new(key, owner, fence, attempt);
    assert_eq!(bench.complete(&claim, outcome()).await, Fenced::Applied);
}

pub async fn a_lapsed_claim_that_nobody_took_over_still_completes<S: Store>(bench: &Bench<S>) {
    let request = lapsing();
    let claim = bench.acquire(&request).await;
    assert_eq!(bench.store.mark_effects(&claim).await.unwrap(), Fenced::Applied);
    assert_eq!(bench.store.renew(&claim, Duration::ZERO).await.unwrap(), Fenced::Applied);
    assert_eq!(bench.complete(&claim, outcome()).await, Fenced::Applied);
    assert_eq!(bench.begin(&duplicate(&request)).await, Begin::Completed(outcome()));
}

pub async fn a_released_key_is_new_whatever_the_request<S: Store>(bench: &Bench<S>) {
    let request = request();
    let claim = bench.acquire(&request).await;
    assert_eq!(bench.store.mark_effects(&claim).await.unwrap(), Fenced::Applied);
    assert_eq!(bench.store.abandon(&claim, Abandon::Release).await.unwrap(), Fenced::Applied);
    assert_eq!(bench.inspect(&request.key).await, None);
    writes_nothing(bench, &claim).await;
    let next = bench.acquire(&misuse(&request)).await;
    assert_eq!(next.attempt, 1);
    assert!(next.fence > claim.fence, "{} after {}", next.fence, claim.fence);
    assert!(!bench.inspect(&request.key).await.unwrap().effects);
    writes_nothing(bench, &claim).await;
}

pub async fn an_abandoned_claim_is_indeterminate_and_saying_so_again_is_applied<S: Store>(
    bench: &Bench<S>,
) {
    let request = request();
    let claim = bench.acquire(&request).await;
    for _ in 0..2 {
        let answer = bench.store.abandon(&claim, Abandon::Indeterminate).await.unwrap();
        assert_eq!(answer, Fenced::Applied);
        assert_eq!(bench.state(&request.key).await, Some(RecordState::Indeterminate));
    }
    let left = bench.inspect(&request.key).await.unwrap().expires_in;
    assert!(left > LONG / 2, "{left:?} of the retention are left");
    let strange = Claim::new(claim.key, OwnerId::random(), claim.fence, 1);
    let answer = bench.store.abandon(&strange, Abandon::Indeterminate).await.unwrap();
    assert_eq!(answer, Fenced::Lost);
}

pub async fn an_ended_claim_can_neither_renew_nor_mark_nor_release<S: Store>(bench: &Bench<S>) {
    for completes in [true, false] {
        let request = request();
        let claim = bench.acquire(&request).await;
        let ended = if completes {
            bench.complete(&claim, outcome()).await
        } else {
            bench.store.abandon(&claim, Abandon::Indeterminate).await.unwrap()
        };
        assert_eq!(ended, Fenced::Applied);
        let before = bench.state(&request.key).await;
        assert_eq!(bench.store.renew(&claim, LONG).await.unwrap(), Fenced::Lost);
        assert_eq!(bench.store.mark_effects(&claim).await.unwrap(), Fenced::Lost);
        assert_eq!(bench.store.abandon(&claim, Abandon::Release).await.unwrap(), Fenced::Lost);
        if completes {
            let how = Abandon::Indeterminate;
            assert_eq!(bench.store.abandon(&claim, how).await.unwrap(), Fenced::Lost);
        } else {
            assert_eq!(bench.complete(&claim, outcome()).await, Fenced::Lost);
        }
        assert_eq!(bench.state(&request.key).await, before);
    }
}

pub async fn effects_are_marked_once_and_for_all<S: Store>(bench: &Bench<S>) {
    let request = request();
    let claim = bench.acquire(&request).await;
    assert!(!bench.inspect(&request.key).await.unwrap().effects);
    for _ in 0..2 {
        assert_eq!(bench.store.mark_effects(&claim).await.unwrap(), Fenced::Applied);
        assert!(bench.inspect(&request.key).await.unwrap().effects);
    }
    assert_eq!(bench.store.renew(&claim, Duration::ZERO).await.unwrap(), Fenced::Applied);
    assert!(bench.inspect(&request.key).await.unwrap().effects);
    assert_eq!(bench.begin(&duplicate(&request)).await, Begin::Indeterminate);
}

pub async fn inspect_shows_each_state_and_no_more<S: Store>(bench: &Bench<S>) {
    let request = request();
    let claim = bench.acquire(&request).await;
    let seen = bench.inspect(&request.key).await.unwrap();
    assert_eq!((seen.state, seen.attempt), (RecordState::InFlight, 1));
    assert_eq!((seen.fence, seen.effects), (claim.fence, false));
    assert_eq!((seen.payload_len, seen.tag), (0, None));
    let lease = seen.lease_remaining.unwrap();
    assert!(lease <= LONG && lease > LONG / 2, "{lease:?}");
    assert!(seen.expires_in <= LONG && seen.expires_in > LONG / 2, "{:?}", seen.expires_in);

    let length = outcome().payload.unwrap().len();
    assert_eq!(bench.complete(&claim, outcome()).await, Fenced::Applied);
    let seen = bench.inspect(&request.key).await.unwrap();
    assert_eq!((seen.state, seen.lease_remaining), (RecordState::Completed, None));
    assert_eq!((seen.payload_len, seen.tag), (length, Some(201)));

    let request = lapsing();
    let claim = bench.acquire(&request).await;
    let seen = bench.inspect(&request.key).await.unwrap();
    assert_eq!(seen.lease_remaining, Some(Duration::ZERO));
    assert_eq!(bench.complete(&claim, StoredOutcome::tombstone(299)).await, Fenced::Applied);
    let seen = bench.inspect(&request.key).await.unwrap();
    assert_eq!((seen.state, seen.lease_remaining), (RecordState::Tombstone, None));
    assert_eq!((seen.payload_len, seen.tag), (0, Some(299)));

    let request = lapsing();
    let claim = bench.acquire(&request).await;
    let _ = bench.store.abandon(&claim, Abandon::Indeterminate).await.unwrap();
    let seen = bench.inspect(&request.key).await.unwrap();
    assert_eq!((seen.state, seen.lease_remaining), (RecordState::Indeterminate, None));
    assert_eq!((seen.payload_len, seen.tag), (0, None));
}

pub async fn forget_deletes_in_every_state_and_the_claim_is_lost<S: Store>(bench: &Bench<S>) {
    for completes in [false, true] {
        let request = request();
        assert!(!bench.store.forget(&request.key).await.unwrap(), "there was none");
        let claim = bench.acquire(&request).await;
        if completes {
            assert_eq!(bench.complete(&claim, outcome()).await, Fenced::Applied);
        }
        assert!(bench.store.forget(&request.key).await.unwrap(), "there was one");
        assert_eq!(bench.inspect(&request.key).await, None);
        writes_nothing(bench, &claim).await;
    }
}
