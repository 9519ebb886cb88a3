//! What has been idle too long.

use super::*;

fn idle_after_a_second()
-> (Handle<String, BulkheadLayer>, impl Service<Keyed, Response = u32, Error = Fault> + Clone) {
    let layer = builder(|_: &str| BulkheadLayer::new(9)).idle(SECOND).build();
    (layer.handle(), layer.layer(mocked().0))
}

/// Tells one instance from its successor.
fn mark(handle: &Handle<String, BulkheadLayer>, key: &str) {
    handle.get(key).unwrap().handle().resize(5);
}

fn is_marked(handle: &Handle<String, BulkheadLayer>, key: &str) -> bool {
    handle.get(key).is_some_and(|bulkhead| bulkhead.handle().limit() == 5)
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_idle_is_forgotten() {
    let (handle, mut service) = idle_after_a_second();
    ask(&mut service, "a", Ask::Answer(1)).await.unwrap();
    mark(&handle, "a");
    tokio::time::advance(SECOND - MS).await;
    assert!(is_marked(&handle, "a"));
    ask(&mut service, "a", Ask::Answer(1)).await.unwrap();
    assert!(is_marked(&handle, "a"));
    tokio::time::advance(SECOND).await;
    ask(&mut service, "a", Ask::Answer(1)).await.unwrap();
    assert!(handle.contains("a") && !is_marked(&handle, "a"));
    tokio::time::advance(SECOND).await;
    assert!(!handle.contains("a") && handle.is_empty());
}

#[tokio::test(start_paused = true)]
async fn idle_time_begins_at_the_end_of_the_last_call() {
    let (handle, mut service) = idle_after_a_second();
    let long = call(&mut service, ("a", Ask::After(5 * SECOND, 1)));
    mark(&handle, "a");
    let short = ask(&mut service.clone(), "a", Ask::Answer(1)).await;
    assert_eq!(short, Ok(1));
    let check = async {
        tokio::time::sleep(5 * SECOND - MS).await;
        assert_eq!((handle.purge(), handle.len()), (0, 1));
    };
    let (answer, ()) = futures::join!(long, check);
    assert_eq!(answer, Ok(1));
    tokio::time::advance(SECOND - MS).await;
    assert!(is_marked(&handle, "a"));
    tokio::time::advance(MS).await;
    assert_eq!((handle.purge(), handle.purge(), handle.len()), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn calls_of_other_keys_sweep_out_what_is_idle() {
    let layer = builder(breaker).idle(SECOND).build();
    let (service, watch) = mocked();
    let mut service = layer.layer(service);
    let keys: Vec<&'static str> = (0..300).map(|n| &*n.to_string().leak()).collect();
    for key in keys {
        ask(&mut service, key, Ask::Answer(1)).await.unwrap();
    }
    assert_eq!(watch.alive(), 301);
    for _ in 0..20 {
        tokio::time::advance(SECOND / 10).await;
        ask(&mut service, "busy", Ask::Answer(1)).await.unwrap();
    }
    assert_eq!(watch.alive(), 2, "nobody has asked the handle");
    assert_eq!(layer.handle().keys(), ["busy"]);
}

#[tokio::test(start_paused = true)]
async fn without_an_idle_time_keys_stay_until_their_place_is_needed() {
    let layer = builder(breaker).build();
    let mut service = layer.layer(mocked().0);
    ask(&mut service, "a", Ask::Answer(1)).await.unwrap();
    tokio::time::advance(1_000_000 * SECOND).await;
    assert_eq!((layer.handle().purge(), layer.handle().len()), (0, 1));
}
