//! Slots: when they are freed, and what a limit that moves does to them.

use buttress::adaptive_limit::AdaptiveLimitLayer;
use buttress::admission::Hold;
use tower::Layer;

use super::MS;
use super::puppet::Puppet;
use crate::support::{Ask, Mock, call, panics, poll_once, refusal};

#[tokio::test(start_paused = true)]
async fn shrinking_below_the_calls_in_flight_only_blocks_new_ones() {
    let puppet = Puppet::at(4.0);
    let layer = AdaptiveLimitLayer::builder().algorithm(puppet.clone()).build();
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = layer.layer(mock);
    let mut held: Vec<_> = (0..3).map(|_| call(&mut service, Ask::Hold)).collect();
    for future in &mut held {
        assert!(poll_once(future).is_pending());
    }
    puppet.set_limit(2.0);
    assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
    assert_eq!((layer.handle().limit(), layer.handle().in_flight()), (2, 3));
    refusal(call(&mut service, Ask::Answer(1)).await);
    held.pop();
    refusal(call(&mut service, Ask::Answer(1)).await);
    held.pop();
    assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
    watch.let_go();
    assert_eq!(held.pop().unwrap().await, Ok(0), "those in flight run to their end");
    assert_eq!(layer.handle().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_freed_when_the_inner_future_is_ready_is_dropped_or_panics() {
    let layer = AdaptiveLimitLayer::builder().algorithm(Puppet::at(1.0)).build();
    let mut service = layer.layer(Mock::new());
    for ask in [Ask::Answer(1), Ask::After(MS, 1), Ask::Fail(1), Ask::FailAfter(MS, 1)] {
        let mut running = call(&mut service, ask);
        let outcome = (&mut running).await;
        assert_eq!(layer.handle().in_flight(), 0, "before the future is dropped: {outcome:?}");
    }
    drop(call(&mut service, Ask::Hold));
    assert_eq!(layer.handle().in_flight(), 0);
    panics(|| drop(call(&mut service, Ask::PanicInCall)));
    assert_eq!(layer.handle().in_flight(), 0);
    let mut panicking = call(&mut service, Ask::PanicInPoll);
    panics(move || drop(poll_once(&mut panicking)));
    assert_eq!(layer.handle().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_freed_before_the_algorithm_hears_of_the_end() {
    let puppet = Puppet::at(1.0);
    let layer = AdaptiveLimitLayer::builder().algorithm(puppet.clone()).build();
    let mut service = layer.layer(Mock::new());
    drop(call(&mut service, Ask::Hold));
    assert_eq!(puppet.ended()[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_has_no_permit_and_leaves_the_instance_its_readiness() {
    let mock = Mock::new();
    let watch = mock.watch();
    let layer = AdaptiveLimitLayer::builder().algorithm(Puppet::at(1.0)).build();
    let mut service = layer.layer(mock);
    let held = call(&mut service, Ask::Hold);
    let mut refused = call(&mut service, Ask::Answer(1));
    let (outcome, permit) = std::future::poll_fn(|cx| refused.as_mut().poll_hold(cx)).await;
    refusal(outcome);
    assert!(permit.is_none());
    watch.stall();
    drop(held);
    assert_eq!(call(&mut service, Ask::Answer(2)).await, Ok(2), "with the grant of the refused");
}

#[test]
fn threads_under_a_limit_that_moves_leave_nothing_behind() {
    let puppet = Puppet::at(3.0);
    puppet.set_skip(2);
    let layer = AdaptiveLimitLayer::builder().algorithm(puppet.clone()).queue(2).build();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (layer, puppet) = (&layer, &puppet);
            scope.spawn(move || {
                let mut service = layer.layer(Mock::new());
                for round in 0..5_000_u32 {
                    puppet.set_limit(f64::from(1 + (round + thread) % 5));
                    let mut calls = [Ask::Answer(1), Ask::Hold, Ask::Pend(1)]
                        .map(|ask| call(&mut service, ask));
                    for future in &mut calls {
                        let _ = poll_once(future);
                    }
                }
            });
        }
    });
    assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (0, 0));
    puppet.set_skip(0);
    puppet.set_limit(7.0);
    let mut service = layer.layer(Mock::new());
    for _ in 0..4 {
        assert!(poll_once(&mut call(&mut service, Ask::Answer(1))).is_ready());
    }
    assert_eq!(layer.handle().limit(), 7, "it has not lost touch with the algorithm");
}
