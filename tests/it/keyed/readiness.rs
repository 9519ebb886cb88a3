//! Always ready; the instance of the key gets ready in the response future.

use super::*;
use crate::support::{Hand, ready};

#[tokio::test(start_paused = true)]
async fn it_is_ready_whatever_is_inside() {
    let (service, watch) = mocked();
    let mut service = builder(breaker).build().layer(service);
    watch.stall();
    ready::<_, Keyed>(&mut service);
    watch.fail_readiness(3);
    ready::<_, Keyed>(&mut service);
    assert!(watch.readied().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_clone_that_was_made_ready_is_the_one_that_is_called() {
    let (service, watch) = mocked();
    let mut service = builder(bulkhead).build().layer(service);
    for key in ["a", "b", "a"] {
        ask(&mut service, key, Ask::Answer(1)).await.unwrap();
    }
    assert_eq!(watch.readied(), watch.called());
    let mut called = watch.called();
    called.dedup();
    assert_eq!(called.len(), 3, "each call has an instance of its own");
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_until_its_instance_is_ready_and_is_woken() {
    let (service, watch) = mocked();
    let mut service = builder(breaker).build().layer(service);
    watch.stall();
    let hand = Hand::new();
    let mut waiting = call(&mut service, ("a", Ask::Answer(1)));
    assert!(hand.poll(&mut waiting).is_pending());
    watch.unstall();
    assert!(hand.woken() > 0);
    assert_eq!(waiting.await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_fails_to_get_ready_fails_the_call_alone() {
    let (service, watch) = mocked();
    let layer = builder(bulkhead).capacity(1).overflow(Overflow::Refuse).build();
    let mut service = layer.layer(service);
    watch.fail_readiness(9);
    assert_eq!(ask(&mut service, "a", Ask::Answer(1)).await, Err(Fault::Broken(9)));
    watch.unstall();
    assert_eq!(ask(&mut service, "b", Ask::Answer(1)).await, Ok(1), "nothing is in flight");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_leaves_nothing_behind() {
    let (service, watch) = mocked();
    let layer = builder(bulkhead).capacity(1).overflow(Overflow::Refuse).build();
    let mut service = layer.layer(service);
    watch.stall();
    let mut waiting = call(&mut service, ("a", Ask::Answer(1)));
    assert!(poll_once(&mut waiting).is_pending());
    refusal(ask(&mut service, "b", Ask::Answer(1)).await);
    drop(waiting);
    watch.unstall();
    assert_eq!(ask(&mut service, "b", Ask::Answer(1)).await, Ok(1));
    assert_eq!(watch.called().len(), 1);
    assert_eq!(watch.alive(), 2, "the service's own, and one for the key");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_runs_leaves_nothing_behind() {
    let (service, watch) = mocked();
    let layer = builder(bulkhead).capacity(1).overflow(Overflow::Refuse).build();
    let mut service = layer.layer(service);
    let mut running = call(&mut service, ("a", Ask::Hold));
    assert!(poll_once(&mut running).is_pending());
    drop(running);
    assert_eq!(watch.replies(), 0);
    assert_eq!(ask(&mut service, "b", Ask::Answer(1)).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_inner_service_leaves_the_key_idle() {
    for wish in [Ask::PanicInCall, Ask::PanicInPoll] {
        let layer = builder(bulkhead).capacity(1).overflow(Overflow::Refuse).build();
        let mut service = layer.layer(mocked().0);
        let mut panicking = call(&mut service, ("a", wish));
        crate::support::panics(|| poll_once(&mut panicking));
        drop(panicking);
        assert_eq!(ask(&mut service, "b", Ask::Answer(1)).await, Ok(1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_come_leaves_the_key_idle_though_the_future_is_kept() {
    let layer = builder(bulkhead).capacity(1).overflow(Overflow::Refuse).build();
    let mut service = layer.layer(mocked().0);
    let mut answered = call(&mut service, ("a", Ask::Answer(1)));
    assert!(poll_once(&mut answered).is_ready());
    assert_eq!(ask(&mut service, "b", Ask::Answer(1)).await, Ok(1));
    drop(answered);
}
