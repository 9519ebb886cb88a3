//! Leases and retentions: three clauses wait for them, the others have none.

#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "the name of a clause is its sentence, and each panics where it does not hold"
)]

use std::time::Duration;

use super::bench::{LONG, NONE, duplicate, lapsing, misuse, outcome, request};
use crate::idempotency::{Abandon, Begin, BeginRequest, Fenced, Store};
use crate::sim::store_contract::Bench;

pub async fn a_lease_lapses_by_itself_and_a_renewal_holds_it<S: Store>(bench: &Bench<S>) {
    let short = BeginRequest { lease: bench.pause, ..request() };
    let held = BeginRequest { lease: bench.pause, ..request() };
    bench.acquire(&short).await;
    let claim = bench.acquire(&held).await;
    assert_eq!(bench.store.renew(&claim, LONG).await.unwrap(), Fenced::Applied);
    bench.sleep().await;
    assert_eq!(bench.acquire(&duplicate(&short)).await.attempt, 2);
    let other = bench.begin(&duplicate(&held)).await;
    assert!(matches!(other, Begin::InProgress { attempt: 1, .. }), "{other:?}");
}

pub async fn a_record_is_absent_once_its_retention_is_over<S: Store>(bench: &Bench<S>) {
    let (completed, crashed) = (request(), request());
    let crashed = BeginRequest { lease: NONE, retention: bench.pause, ..crashed };
    let claim = bench.acquire(&completed).await;
    let kept = bench.store.complete(&claim, outcome(), bench.pause).await.unwrap();
    assert_eq!(kept, Fenced::Applied);
    let stale = bench.acquire(&crashed).await;
    bench.sleep().await;
    for (request, before) in [(completed, claim), (crashed, stale)] {
        assert_eq!(bench.inspect(&request.key).await, None);
        assert!(!bench.store.forget(&request.key).await.unwrap());
        let next = bench.acquire(&misuse(&request)).await;
        assert_eq!(next.attempt, 1);
        assert!(next.fence > before.fence, "{} after {}", next.fence, before.fence);
        let seen = bench.inspect(&request.key).await.unwrap();
        assert_eq!((seen.payload_len, seen.tag), (0, None), "left over from the one before");
    }
}

pub async fn an_expired_claim_is_lost_for_every_write<S: Store>(bench: &Bench<S>) {
    let request = BeginRequest { retention: NONE, ..lapsing() };
    let claim = bench.acquire(&request).await;
    let store = &bench.store;
    assert_eq!(store.renew(&claim, LONG).await.unwrap(), Fenced::Lost);
    assert_eq!(store.mark_effects(&claim).await.unwrap(), Fenced::Lost);
    assert_eq!(bench.complete(&claim, outcome()).await, Fenced::Lost);
    for how in [Abandon::Indeterminate, Abandon::Release] {
        assert_eq!(store.abandon(&claim, how).await.unwrap(), Fenced::Lost);
    }
    assert_eq!(bench.inspect(&request.key).await, None);
    assert!(!store.forget(&request.key).await.unwrap());
}

pub async fn a_renewal_keeps_the_record_at_least_as_long<S: Store>(bench: &Bench<S>) {
    let request = request();
    let claim = bench.acquire(&request).await;
    for (lease, lasts) in [(LONG * 4, LONG * 4), (LONG, LONG * 4)] {
        assert_eq!(bench.store.renew(&claim, lease).await.unwrap(), Fenced::Applied);
        let seen = bench.inspect(&request.key).await.unwrap();
        let left = seen.lease_remaining.unwrap();
        assert!(left <= lease && left + LONG / 2 > lease, "a lease of {left:?}");
        let left = seen.expires_in;
        assert!(left <= lasts && left + LONG / 2 > lasts, "a retention of {left:?}");
    }
    // A lease longer than the retention from the start.
    let request = BeginRequest { lease: LONG * 4, ..lapsing() };
    bench.acquire(&request).await;
    assert!(bench.inspect(&request.key).await.unwrap().expires_in > LONG * 3);
}

pub async fn no_duration_is_too_long<S: Store>(bench: &Bench<S>) {
    let forever = Duration::MAX;
    let request = BeginRequest { lease: forever, retention: forever, ..request() };
    let claim = bench.acquire(&request).await;
    assert_eq!(bench.store.renew(&claim, forever).await.unwrap(), Fenced::Applied);
    let years = Duration::from_secs(60 * 60 * 24 * 365 * 10);
    assert!(bench.inspect(&request.key).await.unwrap().expires_in > years);
    let kept = bench.store.complete(&claim, outcome(), forever).await.unwrap();
    assert_eq!(kept, Fenced::Applied);
    assert_eq!(bench.begin(&duplicate(&request)).await, Begin::Completed(outcome()));
}

pub async fn purging_removes_what_is_over_and_nothing_else<S: Store>(bench: &Bench<S>) {
    let (running, lapsed, kept) = (request(), lapsing(), request());
    let over = BeginRequest { retention: bench.pause, lease: NONE, ..request() };
    let claim = bench.acquire(&kept).await;
    assert_eq!(bench.complete(&claim, outcome()).await, Fenced::Applied);
    for request in [&running, &lapsed, &over] {
        bench.acquire(request).await;
    }
    bench.sleep().await;
    assert_eq!(bench.store.purge_expired(0).await.unwrap(), 0, "at most none");
    // Others may have left something behind as well.
    while bench.store.purge_expired(1000).await.unwrap() > 0 {}
    assert_eq!(bench.inspect(&over.key).await, None);
    for request in [&running, &lapsed, &kept] {
        assert!(bench.inspect(&request.key).await.is_some(), "a record that lasts is gone");
    }
}
