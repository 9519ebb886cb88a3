//! A class may use only its share of the limit, the critical one all of it.

use std::task::Poll;

use buttress::adaptive_limit::AdaptiveLimitLayer;
use buttress::load_shed::{Priority, PriorityClass};
use tower::{Layer, Service, service_fn};

use super::puppet::Puppet;
use crate::support::{Fault, Hand, call, poll_once, refusal};

/// How many calls of this class are in flight when the first is refused, with so many critical
/// ones there before.
fn room(limit: u32, class: Option<PriorityClass>, others: usize) -> usize {
    let layer = AdaptiveLimitLayer::builder()
        .algorithm(Puppet::at(f64::from(limit)))
        .priority(|class: &Option<PriorityClass>| class.map(Priority::new), [])
        .build();
    let mut service = layer.layer(service_fn(hold));
    let _others: Vec<_> =
        (0..others).map(|_| call(&mut service, Some(PriorityClass::Critical))).collect();
    assert_eq!(layer.handle().in_flight(), others);
    let mut held = Vec::new();
    loop {
        let mut next = call(&mut service, class);
        match poll_once(&mut next) {
            Poll::Pending => held.push(next),
            Poll::Ready(outcome) => {
                refusal(outcome);
                return held.len();
            }
        }
    }
}

async fn hold(_: Option<PriorityClass>) -> Result<(), Fault> {
    std::future::pending().await
}

#[test]
fn a_class_may_use_only_its_share_and_the_critical_one_all() {
    use PriorityClass::{Background, Batch, Critical, Default, Sheddable};
    for (class, rooms) in [
        (Some(Critical), [100, 10, 7]),
        (Some(Default), [90, 9, 7]),
        (None, [90, 9, 7]),
        (Some(Batch), [70, 7, 5]),
        (Some(Background), [50, 5, 4]),
        (Some(Sheddable), [30, 3, 3]),
    ] {
        let [hundred, ten, seven] = rooms;
        assert_eq!(room(100, class, 0), hundred, "{class:?}");
        assert_eq!(room(10, class, 0), ten, "{class:?}");
        assert_eq!(room(7, class, 0), seven, "{class:?}: rounded up");
        assert_eq!(room(100, class, 20), hundred - 20, "{class:?}: whoever else is in flight");
        assert_eq!(room(1, class, 0), 1, "{class:?}: an idle service serves anybody");
        assert_eq!(room(1, class, 1), 0, "{class:?}");
    }
}

#[test]
fn without_priorities_all_may_use_all() {
    let layer = AdaptiveLimitLayer::builder().algorithm(Puppet::at(5.0)).build();
    let mut service = layer.layer(service_fn(hold));
    let _held: Vec<_> =
        (0..5).map(|_| call(&mut service, Some(PriorityClass::Sheddable))).collect();
    assert_eq!(layer.handle().in_flight(), 5);
}

#[test]
fn a_refused_class_presses_the_limit() {
    let puppet = Puppet::at(10.0);
    let layer = AdaptiveLimitLayer::builder()
        .algorithm(puppet.clone())
        .priority(|_: &Option<PriorityClass>| Some(PriorityClass::Sheddable.into()), [])
        .build();
    let mut service = layer.layer(service_fn(hold));
    let held: Vec<_> = (0..4).map(|_| call(&mut service, None)).collect();
    assert_eq!(layer.handle().in_flight(), 3);
    drop(held);
    assert!(puppet.ended()[0].pressed, "or a limit that only they use would never grow");
}

#[test]
fn shares_can_be_set_and_nonsense_is_refused() {
    let find = |_: &Option<PriorityClass>| Some(PriorityClass::Batch.into());
    let layer = |share| {
        AdaptiveLimitLayer::builder().algorithm(Puppet::at(100.0)).priority(
            find,
            [
                (PriorityClass::Batch, share),
                (PriorityClass::Background, 0.0),
                (PriorityClass::Sheddable, 0.0),
            ],
        )
    };
    let mut service = layer(0.12).build().layer(service_fn(hold));
    let held: Vec<_> = (0..20).map(|_| call(&mut service, None)).collect();
    let waiting =
        held.into_iter().filter_map(|mut call| poll_once(&mut call).is_pending().then_some(call));
    assert_eq!(waiting.count(), 12);
    for share in [-0.1, 1.1, f64::NAN, 0.91] {
        let error = layer(share).try_build().unwrap_err();
        assert_eq!(error.setting(), "adaptive_limit.priority", "{share}");
    }
    let critical = AdaptiveLimitLayer::builder().priority(find, [(PriorityClass::Critical, 0.95)]);
    assert_eq!(
        critical.try_build().unwrap_err().to_string(),
        "adaptive_limit.priority is [0.95, 0.9, 0.7, 0.5, 0.3], allowed is shares from 0 to 1, all \
         of it for the critical class, none more than the class above"
    );
}

#[tokio::test(start_paused = true)]
async fn in_the_queue_a_free_slot_goes_to_the_first_whose_class_may_have_it() {
    use PriorityClass::{Batch, Critical, Sheddable};
    let layer = AdaptiveLimitLayer::builder()
        .algorithm(Puppet::at(10.0))
        .priority(|class: &Option<PriorityClass>| class.map(Priority::new), [])
        .queue(9)
        .build();
    let mut service = layer.layer(service_fn(hold));
    let mut held: Vec<_> = (0..10).map(|_| call(&mut service, Some(Critical))).collect();
    let mut waiting: Vec<_> = [Sheddable, Batch, Critical, Critical]
        .map(|class| (call(&mut service, Some(class)), Hand::new()))
        .into();
    let served = |waiting: &mut Vec<(_, Hand)>| {
        waiting.iter_mut().map(|(_, hand)| hand.woken() > 0).collect::<Vec<_>>()
    };
    for (future, hand) in &mut waiting {
        assert!(hand.poll(future).is_pending());
    }
    held.pop();
    assert_eq!(served(&mut waiting), [false, false, true, false], "one slot of the critical part");
    held.truncate(4);
    // Four, the one, and the other critical call: below seven the batch has room.
    assert_eq!(served(&mut waiting), [false, true, false, true]);
    assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (7, 1));
    let passing = call(&mut service, Some(Critical));
    assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (8, 1), "it is not held up");
    drop(passing);
    held.clear();
    assert_eq!(served(&mut waiting), [false; 4], "three in flight are its share");
    waiting.pop();
    assert!(served(&mut waiting)[0], "nobody is forgotten");
    drop(waiting);
    assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (0, 0));
}

#[test]
fn a_closure_that_panics_takes_no_slot() {
    let layer = AdaptiveLimitLayer::builder()
        .priority(|_: &Option<PriorityClass>| -> Option<Priority> { panic!("in a closure") }, [])
        .build();
    let mut service = layer.layer(service_fn(hold));
    crate::support::panics(|| drop(service.call(None)));
    assert_eq!(layer.handle().in_flight(), 0);
}
