//! Past capacity: who goes, who stays, and what becomes of who finds no place.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use buttress::adaptive_limit::AdaptiveLimitLayer;
use buttress::admission::Hold;
#[cfg(feature = "rate-limit")]
use buttress::{keyed::Pinned, rate_limit::RateLimitLayer};
use tower::layer::layer_fn;

use super::*;

#[tokio::test(start_paused = true)]
async fn past_capacity_an_idle_key_makes_room() {
    let layer = builder(breaker).capacity(2).overflow(Overflow::Refuse).build();
    let (handle, mut service) = (layer.handle(), layer.layer(mocked().0));
    for key in ["a", "b", "c", "d"] {
        ask(&mut service, key, Ask::Answer(1)).await.unwrap();
        assert!(handle.contains(key) && handle.len() <= 2);
    }
    assert_eq!(sorted(&handle), ["c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_with_a_call_in_flight_is_never_forgotten() {
    let layer = builder(|_: &str| BulkheadLayer::new(9)).capacity(2).build();
    let (handle, mut service) = (layer.handle(), layer.layer(mocked().0));
    let mut held = call(&mut service, ("a", Ask::Hold));
    assert!(poll_once(&mut held).is_pending());
    let never_polled = call(&mut service, ("b", Ask::Hold));
    for key in ["c", "d", "e"] {
        ask(&mut service, key, Ask::Answer(1)).await.unwrap();
        assert_eq!(sorted(&handle), ["a", "b"]);
    }
    drop(never_polled);
    ask(&mut service, "c", Ask::Answer(1)).await.unwrap();
    assert_eq!(sorted(&handle), ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_not_closed_is_never_forgotten() {
    let layer = builder(breaker).capacity(1).idle(SECOND).overflow(Overflow::Refuse).build();
    let (handle, mut service) = (layer.handle(), layer.layer(mocked().0));
    ask(&mut service, "a", Ask::Fail(1)).await.unwrap_err();
    let circuit = handle.get("a").unwrap().handle();
    let stays = async |service: &mut _| {
        tokio::time::advance(2 * SECOND).await;
        assert_eq!(handle.purge(), 0);
        let refused = refusal(ask(service, "b", Ask::Answer(1)).await);
        assert_eq!((refused.reason(), handle.len()), (Reason::Overloaded, 1));
    };
    stays(&mut service).await;
    circuit.force_open("maintenance");
    stays(&mut service).await;
    circuit.disable();
    stays(&mut service).await;
    circuit.auto();
    assert_eq!(circuit.phase(), Phase::Closed);
    ask(&mut service, "b", Ask::Answer(1)).await.unwrap();
    assert_eq!(handle.keys(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_deep_in_a_stack_is_heard_of() {
    let deep = |key: &str| {
        let (breaker, other) = (breaker(key), key.to_owned());
        tower::ServiceBuilder::new()
            .layer(BulkheadLayer::new(3))
            .layer(breaker)
            // Made only when the stack is applied.
            .layer(layer_fn(move |inner| super::breaker(&other).layer(inner)))
            .into_inner()
    };
    let layer = builder(deep).capacity(1).build();
    let (handle, mut service) = (layer.handle(), layer.layer(mocked().0));
    ask(&mut service, "a", Ask::Fail(1)).await.unwrap_err();
    ask(&mut service, "b", Ask::Answer(1)).await.unwrap();
    assert_eq!(handle.keys(), ["a"]);

    let applied = |_: &str| layer_fn(|inner| breaker("").layer(inner));
    let layer = builder(applied).capacity(1).build();
    let (handle, mut service) = (layer.handle(), layer.layer(mocked().0));
    ask(&mut service, "a", Ask::Fail(1)).await.unwrap_err();
    ask(&mut service, "b", Ask::Answer(1)).await.unwrap();
    assert_eq!(handle.keys(), ["a"]);
    drop(service);
    let mut service = layer.layer(mocked().0);
    ask(&mut service, "b", Ask::Answer(1)).await.unwrap();
    assert_eq!(handle.keys(), ["b"], "what is gone pins nothing");
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_outlives_its_call_keeps_the_key() {
    let layer = builder(bulkhead).capacity(1).overflow(Overflow::Refuse).build();
    let (handle, mut service) = (layer.handle(), layer.layer(mocked().0));
    let mut future = call(&mut service, ("a", Ask::Answer(1)));
    let (outcome, held) = poll_fn(|cx| future.as_mut().poll_hold(cx)).await;
    drop(future);
    assert_eq!(outcome, Ok(1));
    refusal(ask(&mut service, "b", Ask::Answer(1)).await);
    assert_eq!(handle.keys(), ["a"]);
    drop(held);
    ask(&mut service, "b", Ask::Answer(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_holds_a_slot_keeps_the_key_though_no_call_is_in_flight() {
    for adaptive in [false, true] {
        let layer = builder(|_: &str| (BulkheadLayer::new(9), AdaptiveLimitLayer::new()))
            .capacity(1)
            .overflow(Overflow::Refuse)
            .build();
        let (handle, mut service) = (layer.handle(), layer.layer(mocked().0));
        ask(&mut service, "a", Ask::Answer(1)).await.unwrap();
        // Held by what is not one of the keyed service's calls, as a body would.
        let (bulkhead, limit) = handle.get("a").unwrap();
        let (mut bulkhead, mut limit) = (bulkhead.layer(Mock::new()), limit.layer(Mock::new()));
        let held = if adaptive {
            futures::future::Either::Left(call(&mut limit, Ask::Hold))
        } else {
            futures::future::Either::Right(call(&mut bulkhead, Ask::Hold))
        };
        refusal(ask(&mut service, "b", Ask::Answer(1)).await);
        drop(held);
        ask(&mut service, "b", Ask::Answer(1)).await.unwrap();
    }
}

#[cfg(feature = "rate-limit")]
#[tokio::test(start_paused = true)]
async fn a_rate_limit_whose_bucket_is_not_full_is_never_forgotten() {
    let limit = |_: &str| RateLimitLayer::builder().per_second(1).burst(2).build();
    let layer = builder(limit).capacity(1).idle(MS).overflow(Overflow::Refuse).build();
    let (handle, mut service) = (layer.handle(), layer.layer(mocked().0));
    ask(&mut service, "a", Ask::Answer(1)).await.unwrap();
    tokio::time::advance(SECOND - MS).await;
    assert_eq!(handle.purge(), 0);
    let refused = refusal(ask(&mut service, "b", Ask::Answer(1)).await);
    assert_eq!((refused.reason(), handle.keys()), (Reason::Overloaded, vec!["a".into()]));
    let limit = handle.get("a").unwrap().handle();
    assert_eq!((limit.available(), limit.is_pinned()), (1, true));
    tokio::time::advance(MS).await;
    assert_eq!((limit.available(), limit.is_pinned()), (2, false), "as a new one");
    ask(&mut service, "b", Ask::Answer(1)).await.unwrap();
    assert_eq!(handle.keys(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_kept_while_the_user_says_so() {
    let wanted = Arc::new(AtomicBool::new(true));
    let asked = wanted.clone();
    let layer = builder(bulkhead)
        .capacity(1)
        .keep_while(move |layer| layer.handle().limit() == 1 && asked.load(Ordering::Relaxed))
        .build();
    let (handle, mut service) = (layer.handle(), layer.layer(mocked().0));
    for key in ["a", "b"] {
        ask(&mut service, key, Ask::Answer(1)).await.unwrap();
        assert_eq!(handle.keys(), ["a"]);
    }
    wanted.store(false, Ordering::Relaxed);
    ask(&mut service, "b", Ask::Answer(1)).await.unwrap();
    assert_eq!(handle.keys(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn keys_without_a_place_share_one_instance() {
    let made = Arc::new(AtomicU32::new(0));
    let count = made.clone();
    let layer = builder(move |key: &str| {
        count.fetch_add(1, Ordering::Relaxed);
        breaker(key)
    });
    let layer = layer.capacity(2).build();
    let (handle, mut service) = (layer.handle(), layer.layer(mocked().0));
    for key in ["a", "b"] {
        ask(&mut service, key, Ask::Fail(1)).await.unwrap_err();
    }
    ask(&mut service, "c", Ask::Fail(1)).await.unwrap_err();
    for mut other in [service.clone(), layer.layer(mocked().0)] {
        for key in ["c", "d", "e"] {
            let refused = refusal(ask(&mut other, key, Ask::Answer(1)).await);
            assert_eq!(refused.reason(), Reason::CircuitOpen, "they share the circuit");
        }
    }
    assert_eq!((made.load(Ordering::Relaxed), sorted(&handle)), (3, vec!["a".into(), "b".into()]));
    // As soon as there is a place, a key has its own.
    handle.get("a").unwrap().handle().reset();
    assert_eq!(ask(&mut service, "d", Ask::Answer(1)).await, Ok(1));
    assert_eq!(sorted(&handle), ["b", "d"]);
}

#[tokio::test(start_paused = true)]
async fn keys_without_a_place_are_refused_if_told_so() {
    let made = Arc::new(AtomicU32::new(0));
    let count = made.clone();
    let layer = builder(move |key: &str| {
        count.fetch_add(1, Ordering::Relaxed);
        breaker(key)
    });
    let layer = layer.capacity(1).overflow(Overflow::Refuse).name("hosts").build();
    let (service, watch) = mocked();
    let mut service = layer.layer(service);
    ask(&mut service, "a", Ask::Fail(1)).await.unwrap_err();
    let refused = refusal(ask(&mut service, "b", Ask::Answer(1)).await);
    assert_eq!((refused.reason(), refused.name()), (Reason::Overloaded, Some("hosts")));
    assert_eq!((refused.retry_after(), refused.was_dispatched()), (None, false));
    assert_eq!(watch.called().len(), 1);
    assert_eq!(made.load(Ordering::Relaxed), 1, "nothing is made for a refusal");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_removed_starts_anew_while_its_calls_run_on() {
    let layer = builder(bulkhead).build();
    let (handle, (service, watch)) = (layer.handle(), mocked());
    let mut service = layer.layer(service);
    let mut held = call(&mut service, ("a", Ask::Hold));
    assert!(poll_once(&mut held).is_pending());
    let old = handle.get("a").unwrap();
    assert!(handle.remove("a") && !handle.remove("a") && handle.is_empty());
    assert_eq!(ask(&mut service, "a", Ask::Answer(1)).await, Ok(1), "a bulkhead of its own");
    assert_eq!((old.handle().in_flight(), handle.len()), (1, 1));
    watch.let_go();
    assert_eq!(held.await, Ok(0));
}
