//! State belongs to the layer value, also that of each key.

use tower::limit::ConcurrencyLimitLayer;

use super::*;

#[tokio::test(start_paused = true)]
async fn all_services_and_clones_of_a_layer_share_the_state_of_each_key() {
    let layer = builder(breaker).build();
    let first = layer.layer(mocked().0);
    let services = [first.clone(), layer.layer(mocked().0), layer.clone().layer(mocked().0), first];
    let keys = ["a", "b", "c", "d"];
    for (failing, key) in services.iter().zip(keys) {
        ask(&mut failing.clone(), key, Ask::Fail(1)).await.unwrap_err();
        for service in &services {
            let refused = refusal(ask(&mut service.clone(), key, Ask::Answer(1)).await);
            assert_eq!(refused.reason(), Reason::CircuitOpen);
        }
    }
    assert_eq!(layer.handle().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn each_service_calls_what_is_inside_of_it() {
    let layer = builder(breaker).build();
    let ((one, one_watch), (two, two_watch)) = (mocked(), mocked());
    let (mut one, mut two) = (layer.layer(one), layer.layer(two));
    for _ in 0..3 {
        ask(&mut one, "a", Ask::Answer(1)).await.unwrap();
    }
    ask(&mut two, "a", Ask::Answer(1)).await.unwrap();
    assert_eq!((one_watch.called().len(), two_watch.called().len()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_mints_when_it_is_applied_is_each_services_own() {
    let layer = builder(|_: &str| ConcurrencyLimitLayer::new(1)).build();
    let (mut one, mut two) = (layer.layer(mocked().0), layer.layer(mocked().0));
    let mut held = call(&mut one, ("a", Ask::Hold));
    assert!(poll_once(&mut held).is_pending());
    assert_eq!(ask(&mut two, "a", Ask::Answer(1)).await, Ok(1));
    let mut second = call(&mut one, ("a", Ask::Answer(1)));
    assert!(poll_once(&mut second).is_pending());
    assert_eq!(layer.handle().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_dropped_lets_go_of_what_it_built() {
    let layer = builder(breaker).build();
    let (service, watch) = mocked();
    let mut service = layer.layer(service);
    for key in ["a", "b", "c"] {
        ask(&mut service, key, Ask::Answer(1)).await.unwrap();
    }
    assert_eq!(watch.alive(), 4, "its own, and one for each key");
    drop(service);
    assert_eq!(watch.alive(), 0);
    assert_eq!(layer.handle().len(), 3, "the circuits are the layer's");
}

#[tokio::test(start_paused = true)]
async fn what_was_built_for_a_key_goes_with_it() {
    let layer = builder(breaker).capacity(2).build();
    let (service, watch) = mocked();
    let mut service = layer.layer(service);
    let keys: Vec<&'static str> = (0..500).map(|n| &*n.to_string().leak()).collect();
    for key in &keys {
        ask(&mut service, key, Ask::Answer(1)).await.unwrap();
        assert!(watch.alive() <= 4, "{} alive", watch.alive());
    }
    // Another service learns of it when it has as many dead ones as living.
    let (other, watch) = mocked();
    let mut other = layer.layer(other);
    for key in &keys {
        ask(&mut other, key, Ask::Answer(1)).await.unwrap();
        ask(&mut service, "forgets the other", Ask::Answer(1)).await.unwrap();
        ask(&mut service, "and the one before", Ask::Answer(1)).await.unwrap();
    }
    assert!(watch.alive() <= 16 * 17, "{} alive", watch.alive());
}
