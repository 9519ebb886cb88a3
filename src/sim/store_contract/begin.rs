//! The table of [`Store::begin`], row by row.

#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "the name of a clause is its sentence, and each panics where it does not hold"
)]

use std::time::Duration;

use super::bench::{LONG, NONE, duplicate, lapsing, misuse, outcome, request};
use crate::idempotency::{
    Abandon, Begin, BeginRequest, Fenced, LeaseExpiry, RecordState, Store, StoredOutcome,
};
use crate::sim::store_contract::Bench;

pub async fn a_key_that_was_never_seen_is_acquired_as_the_first_attempt<S: Store>(
    bench: &Bench<S>,
) {
    let request = request();
    assert_eq!(bench.inspect(&request.key).await, None);
    let claim = bench.acquire(&request).await;
    assert_eq!((claim.key, claim.owner, claim.attempt), (request.key, request.owner, 1));
}

pub async fn another_fingerprint_is_a_mismatch_in_every_state<S: Store>(bench: &Bench<S>) {
    for end in 0..5 {
        let request = if end == 1 { lapsing() } else { request() };
        let claim = bench.acquire(&request).await;
        let _ = match end {
            2 => bench.complete(&claim, outcome()).await,
            3 => bench.complete(&claim, StoredOutcome::tombstone(200)).await,
            4 => bench.store.abandon(&claim, Abandon::Indeterminate).await.unwrap(),
            _ => Fenced::Applied,
        };
        let before = bench.state(&request.key).await;
        assert_eq!(bench.begin(&misuse(&request)).await, Begin::Mismatch, "{before:?}");
        let own = BeginRequest { owner: request.owner, ..misuse(&request) };
        assert_eq!(bench.begin(&own).await, Begin::Mismatch, "{before:?}, of the same owner");
        assert_eq!(bench.state(&request.key).await, before);
    }
}

pub async fn a_request_that_runs_is_in_progress_for_everybody_else<S: Store>(bench: &Bench<S>) {
    let request = request();
    bench.acquire(&request).await;
    match bench.begin(&duplicate(&request)).await {
        Begin::InProgress { lease_remaining, attempt: 1 } => {
            assert!(lease_remaining <= LONG && lease_remaining > LONG / 2, "{lease_remaining:?}");
        }
        other => panic!("{other:?}, where the request is in progress"),
    }
}

pub async fn a_completed_record_answers_with_its_outcome_to_the_byte<S: Store>(bench: &Bench<S>) {
    let future_format = {
        let mut outcome = StoredOutcome::new(u16::MAX, vec![0; 70_000]);
        outcome.format = u8::MAX;
        outcome
    };
    for outcome in [outcome(), StoredOutcome::new(0, vec![]), future_format] {
        let request = request();
        let claim = bench.acquire(&request).await;
        assert_eq!(bench.complete(&claim, outcome.clone()).await, Fenced::Applied);
        for asked in [duplicate(&request), request] {
            assert_eq!(bench.begin(&asked).await, Begin::Completed(outcome.clone()));
        }
    }
}

pub async fn a_tombstone_answers_without_a_payload<S: Store>(bench: &Bench<S>) {
    let request = request();
    let claim = bench.acquire(&request).await;
    let tombstone = StoredOutcome::tombstone(204);
    assert_eq!(bench.complete(&claim, tombstone.clone()).await, Fenced::Applied);
    assert_eq!(bench.begin(&duplicate(&request)).await, Begin::Completed(tombstone));
}

pub async fn an_indeterminate_record_stays_so<S: Store>(bench: &Bench<S>) {
    let request = lapsing();
    let claim = bench.acquire(&request).await;
    let _ = bench.store.abandon(&claim, Abandon::Indeterminate).await.unwrap();
    for asked in [duplicate(&request), request.clone(), duplicate(&request)] {
        assert_eq!(bench.begin(&asked).await, Begin::Indeterminate);
    }
}

pub async fn a_repeated_begin_keeps_fence_attempt_and_effects<S: Store>(bench: &Bench<S>) {
    let request = request();
    let claim = bench.acquire(&request).await;
    assert_eq!(bench.store.mark_effects(&claim).await.unwrap(), Fenced::Applied);
    assert_eq!(bench.acquire(&request).await, claim);
    let snapshot = bench.inspect(&request.key).await.unwrap();
    assert!(snapshot.effects, "the mark is forgotten");
    assert_eq!((snapshot.fence, snapshot.attempt), (claim.fence, 1));
    assert_eq!(bench.complete(&claim, outcome()).await, Fenced::Applied);
}

pub async fn a_repeated_begin_after_a_lapse_is_still_its_own<S: Store>(bench: &Bench<S>) {
    let strict =
        BeginRequest { max_attempts: 1, on_lease_expiry: LeaseExpiry::Indeterminate, ..lapsing() };
    let claim = bench.acquire(&strict).await;
    assert_eq!(bench.store.mark_effects(&claim).await.unwrap(), Fenced::Applied);
    let again = BeginRequest { lease: LONG, ..strict.clone() };
    assert_eq!(bench.acquire(&again).await, claim);
    let other = duplicate(&strict);
    assert!(matches!(bench.begin(&other).await, Begin::InProgress { .. }), "the lease is new");
}

pub async fn a_lapsed_lease_is_taken_over_with_a_greater_fence<S: Store>(bench: &Bench<S>) {
    let request = lapsing();
    let mut last = bench.acquire(&request).await;
    for attempt in 2..=5 {
        let claim = bench.acquire(&duplicate(&request)).await;
        assert_eq!(claim.attempt, attempt);
        assert!(claim.fence > last.fence, "{} after {}", claim.fence, last.fence);
        last = claim;
    }
    assert_eq!(bench.complete(&last, outcome()).await, Fenced::Applied);
}

pub async fn a_takeover_of_begun_effects_is_indeterminate<S: Store>(bench: &Bench<S>) {
    let request = lapsing();
    let claim = bench.acquire(&request).await;
    assert_eq!(bench.store.mark_effects(&claim).await.unwrap(), Fenced::Applied);
    assert_eq!(bench.begin(&duplicate(&request)).await, Begin::Indeterminate);
    assert_eq!(bench.state(&request.key).await, Some(RecordState::Indeterminate));
    assert_eq!(bench.complete(&claim, outcome()).await, Fenced::Lost);
}

pub async fn the_last_attempt_is_not_taken_over<S: Store>(bench: &Bench<S>) {
    let request = BeginRequest { max_attempts: 2, ..lapsing() };
    bench.acquire(&request).await;
    assert_eq!(bench.acquire(&duplicate(&request)).await.attempt, 2);
    assert_eq!(bench.begin(&duplicate(&request)).await, Begin::Indeterminate);
    let generous = BeginRequest { max_attempts: 9, ..duplicate(&request) };
    assert_eq!(bench.begin(&generous).await, Begin::Indeterminate);
}

pub async fn a_lease_that_ends_indeterminate_is_not_taken_over<S: Store>(bench: &Bench<S>) {
    let request = BeginRequest { on_lease_expiry: LeaseExpiry::Indeterminate, ..lapsing() };
    bench.acquire(&request).await;
    assert_eq!(bench.begin(&duplicate(&request)).await, Begin::Indeterminate);
    let other = BeginRequest { on_lease_expiry: LeaseExpiry::Takeover, ..duplicate(&request) };
    assert_eq!(bench.begin(&other).await, Begin::Indeterminate);
}

pub async fn a_takeover_that_ends_indeterminate_lasts_for_the_retention<S: Store>(
    bench: &Bench<S>,
) {
    let day = Duration::from_secs(86_400);
    for (longer, shorter) in [(day, LONG), (LONG, NONE)] {
        let request = BeginRequest { retention: LONG, ..lapsing() };
        let claim = bench.acquire(&request).await;
        assert_eq!(bench.store.mark_effects(&claim).await.unwrap(), Fenced::Applied);
        for retention in [longer, shorter] {
            let next = BeginRequest { retention, ..duplicate(&request) };
            assert_eq!(bench.begin(&next).await, Begin::Indeterminate);
        }
        let left = bench.inspect(&request.key).await.unwrap().expires_in;
        assert!(left <= longer && left + LONG / 2 > longer, "{left:?} of {longer:?}");
    }
}
