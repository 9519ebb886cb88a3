//! What happens to one key is nothing to the others.

use tower::ServiceBuilder;
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};

use super::*;

#[tokio::test(start_paused = true)]
async fn one_keys_open_circuit_leaves_the_others_alone() {
    let layer = builder(breaker).build();
    let (handle, mut service) = (layer.handle(), layer.layer(mocked().0));
    ask(&mut service, "a", Ask::Fail(1)).await.unwrap_err();
    let refused = refusal(ask(&mut service, "a", Ask::Answer(1)).await);
    assert_eq!(refused.reason(), Reason::CircuitOpen);
    assert_eq!(ask(&mut service, "b", Ask::Answer(2)).await, Ok(2));
    assert_eq!(phase(&handle, "a"), Some(Phase::Open));
    assert_eq!(phase(&handle, "b"), Some(Phase::Closed));
    assert_eq!(phase(&handle, "c"), None);
}

#[tokio::test(start_paused = true)]
async fn a_slow_tenant_fills_its_own_bulkhead_alone() {
    let (service, watch) = mocked();
    let mut service = builder(bulkhead).build().layer(service);
    let mut held = call(&mut service, ("a", Ask::Hold));
    assert!(poll_once(&mut held).is_pending());
    let refused = refusal(ask(&mut service, "a", Ask::Answer(1)).await);
    assert_eq!(refused.reason(), Reason::BulkheadFull);
    assert_eq!(ask(&mut service, "b", Ask::Answer(2)).await, Ok(2));
    watch.let_go();
    assert_eq!(held.await, Ok(0));
    assert_eq!(ask(&mut service, "a", Ask::Answer(1)).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn with_half_of_the_hosts_dead_the_others_serve_every_call() {
    let hosts = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let layer = builder(|_: &str| {
        CircuitBreakerLayer::builder().failure_rate(0.5).minimum_calls(5).build()
    });
    let (service, watch) = mocked();
    let mut service = layer.build().layer(service);
    let (mut sent, mut served) = (0, 0);
    for round in 0..100_u32 {
        for (place, host) in hosts.into_iter().enumerate() {
            let dead = place % 2 == 0;
            let outcome = ask(&mut service, host, if dead { Ask::Fail(1) } else { Ask::Answer(2) });
            let outcome = outcome.await;
            if !dead {
                (sent, served) = (sent + 1, served + u32::from(outcome == Ok(2)));
            } else if round >= 5 {
                assert_eq!(refusal(outcome).reason(), Reason::CircuitOpen);
            }
        }
    }
    assert_eq!((sent, served), (400, 400));
    assert_eq!(watch.called().len(), 400 + 4 * 5, "a dead host saw no more than it took");
}

#[tokio::test(start_paused = true)]
async fn towers_own_layers_keep_the_state_of_each_key() {
    let (service, watch) = mocked();
    let mut service = builder(|_: &str| ConcurrencyLimitLayer::new(1)).build().layer(service);
    let mut clone = service.clone();
    let mut held = call(&mut service, ("a", Ask::Hold));
    assert!(poll_once(&mut held).is_pending());
    let mut second = call(&mut clone, ("a", Ask::Answer(1)));
    assert!(poll_once(&mut second).is_pending(), "one at a time, whichever clone it comes through");
    assert_eq!(ask(&mut clone, "b", Ask::Answer(2)).await, Ok(2));
    watch.let_go();
    assert_eq!(held.await, Ok(0));
    assert_eq!(second.await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_whole_stack_may_stand_for_a_key() {
    let layer = builder(|_: &str| {
        ServiceBuilder::new()
            .layer(breaker(""))
            .layer(BulkheadLayer::new(1))
            .layer(GlobalConcurrencyLimitLayer::new(5))
            .into_inner()
    });
    let mut service = layer.build().layer(mocked().0);
    let mut held = call(&mut service, ("a", Ask::Hold));
    assert!(poll_once(&mut held).is_pending());
    let full = refusal(ask(&mut service, "a", Ask::Answer(1)).await);
    assert_eq!(full.reason(), Reason::BulkheadFull);
    drop(held);
    ask(&mut service, "a", Ask::Fail(1)).await.unwrap_err();
    let open = refusal(ask(&mut service, "a", Ask::Answer(1)).await);
    assert_eq!(open.reason(), Reason::CircuitOpen);
    assert_eq!(ask(&mut service, "b", Ask::Answer(2)).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn keys_by_value_and_keys_in_the_request_are_found_alike() {
    let by_value =
        KeyedLayer::new(|request: &Keyed| request.0.to_owned(), |key: &String| breaker(key));
    let by_ref = KeyedLayer::by_ref(|request: &Keyed| request.0, breaker);
    let (handles, mut first) = ([by_value.handle(), by_ref.handle()], by_value.layer(mocked().0));
    let mut second = by_ref.layer(mocked().0);
    for key in ["a", "b", "a"] {
        assert_eq!(ask(&mut first, key, Ask::Answer(1)).await, Ok(1));
        assert_eq!(ask(&mut second, key, Ask::Answer(1)).await, Ok(1));
    }
    for handle in handles {
        assert_eq!(sorted(&handle), ["a", "b"]);
        assert!(handle.contains("a") && !handle.contains("c"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_keyed_layer_inside_another_is_kept_while_it_must_be() {
    let inner_layer = |_: &str| KeyedLayer::by_ref(|request: &Keyed| request.0, breaker);
    let outer = builder(inner_layer)
        .capacity(1)
        .keep_while(|inner| buttress::keyed::Pinned::is_pinned(&inner.handle()))
        .build();
    let (handle, mut service) = (outer.handle(), outer.layer(mocked().0));
    ask(&mut service, "a", Ask::Answer(1)).await.unwrap();
    ask(&mut service, "b", Ask::Fail(1)).await.unwrap_err();
    assert_eq!(handle.keys(), ["b"]);
    ask(&mut service, "c", Ask::Answer(1)).await.unwrap();
    assert_eq!(handle.keys(), ["b"], "its circuit is open");
}
