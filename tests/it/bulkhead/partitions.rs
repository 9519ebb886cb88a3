//! What a partition is promised, and when the promise counts.

use std::task::Poll;

use buttress::bulkhead::{BulkheadLayer, FindPartition};
use buttress::{Reason, Rejected};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tower::{Layer, Service, service_fn};

use crate::support::{Hand, call, panics, poll_once};

/// A call of a kind, which runs until it is dropped.
async fn forever(_: &'static str) -> Result<(), Rejected> {
    std::future::pending().await
}

fn kind(request: &&'static str) -> &'static str {
    request
}

/// Calls of `kind` that get in, all of them held, before one is refused.
fn fill<S>(service: &mut S, kind: &'static str) -> Vec<std::pin::Pin<Box<S::Future>>>
where
    S: Service<&'static str, Response = (), Error = Rejected>,
{
    let mut held = Vec::new();
    loop {
        let mut future = call(service, kind);
        match poll_once(&mut future) {
            Poll::Pending => held.push(future),
            Poll::Ready(outcome) => {
                assert_eq!(outcome.unwrap_err().reason(), Reason::BulkheadFull);
                return held;
            }
        }
    }
}

/// How many of `kind` get in when others have taken all slots.
fn promised(total: usize, shares: &[(&'static str, f64)], kind_of: &'static str) -> usize {
    let layer = BulkheadLayer::builder(total).partition(kind, shares.to_vec()).build();
    let mut service = layer.layer(service_fn(forever));
    // Each of the others gets its own promise besides, which takes nothing from this one.
    let everything = fill(&mut service, if kind_of == "a" { "b" } else { "a" });
    assert_eq!(everything.len(), total);
    fill(&mut service, kind_of).len()
}

#[test]
fn each_partition_gets_at_least_1_and_its_share_rounded_up() {
    for (total, share, expected) in [
        (10, 0.5, 5),
        (10, 0.25, 3),
        (10, 0.21, 3),
        (10, 0.2, 2),
        (10, 0.0, 1),
        (3, 0.01, 1),
        (100, 0.07, 7),
        (1000, 0.001, 1),
        (1000, 0.0011, 2),
        (7, 1.0, 7),
        (1, 0.5, 1),
    ] {
        let got = promised(total, &[("a", share), ("b", 0.0)], "a");
        assert_eq!(got, expected, "{share} of {total}");
    }
}

#[test]
fn an_unknown_key_goes_to_the_default_partition_which_has_what_the_others_leave() {
    let shares = [("a", 0.5), ("b", 0.2)];
    assert_eq!(promised(10, &shares, "c"), 3);
    assert_eq!(promised(10, &shares, "d"), 3);
    assert_eq!(promised(10, &[("a", 1.0)], "c"), 1, "nothing is left, but 1 is promised to all");

    let layer = BulkheadLayer::builder(10).partition(kind, shares).build();
    let mut service = layer.layer(service_fn(forever));
    let _all = fill(&mut service, "a");
    let _some = call(&mut service, "c");
    assert_eq!(fill(&mut service, "d").len(), 2, "all unknown keys share one partition");
}

#[test]
fn partitions_are_enforced_only_when_the_whole_is_full() {
    let layer = BulkheadLayer::builder(10).partition(kind, [("a", 0.1), ("b", 0.9)]).build();
    let mut service = layer.layer(service_fn(forever));
    let mut a = fill(&mut service, "a");
    assert_eq!(a.len(), 10, "far beyond its promise of 1");
    let b = fill(&mut service, "b");
    assert_eq!(b.len(), 9, "its whole promise, although the whole is full");
    assert_eq!(layer.handle().in_flight(), 19);
    // Above the limit nobody is let in beyond a promise.
    a.truncate(2);
    assert_eq!(fill(&mut service, "a").len(), 0);
    a.truncate(0);
    assert_eq!(fill(&mut service, "a").len(), 1);
}

#[test]
fn a_limit_of_zero_promises_nothing() {
    let layer = BulkheadLayer::builder(0).partition(kind, [("a", 1.0)]).build();
    assert_eq!(fill(&mut layer.layer(service_fn(forever)), "a").len(), 0);
}

#[test]
fn the_overshoot_is_at_most_the_sum_of_the_promises() {
    let shares = [("a", 0.5), ("b", 0.3), ("c", 0.0)];
    let layer = BulkheadLayer::builder(10).partition(kind, shares).build();
    let mut service = layer.layer(service_fn(forever));
    // 5, 3, 1 and the default's 2.
    let promises = 11;
    let mut rng = SmallRng::seed_from_u64(1);
    let (mut held, mut most) = (Vec::new(), 0);
    for _ in 0..20_000 {
        if rng.random_range(0..5) < 3 || held.is_empty() {
            let mut future = call(&mut service, ["a", "b", "c", "d"][rng.random_range(0..4)]);
            if poll_once(&mut future).is_pending() {
                held.push(future);
            }
        } else {
            held.swap_remove(rng.random_range(0..held.len()));
        }
        most = most.max(layer.handle().in_flight());
        assert_eq!(layer.handle().in_flight(), held.len());
    }
    assert!((11..=10 + promises).contains(&most), "some overshoot, but bounded: {most}");
}

#[test]
fn a_freed_slot_goes_first_to_a_partition_below_its_promise() {
    let layer =
        BulkheadLayer::builder(2).partition(kind, [("a", 0.5), ("b", 0.5)]).queue(8).build();
    let mut service = layer.layer(service_fn(forever));
    let mut a: Vec<_> = (0..2).map(|_| call(&mut service, "a")).collect();
    let b = call(&mut service, "b");
    assert_eq!(layer.handle().in_flight(), 3, "b has its promise");
    let hands = [Hand::new(), Hand::new()];
    let mut waits = [call(&mut service, "a"), call(&mut service, "b")];
    for (wait, hand) in waits.iter_mut().zip(&hands) {
        assert!(hand.poll(wait).is_pending());
    }
    // Above the limit still: the slot of b is for b, past the one of a who came before.
    drop(b);
    assert_eq!(hands.each_ref().map(Hand::woken), [0, 1]);
    a.clear();
    assert_eq!(hands.each_ref().map(Hand::woken), [1, 0]);
}

#[test]
fn a_key_function_that_panics_takes_no_slot() {
    let angry = |request: &&'static str| -> bool { panic!("no key for {request}") };
    let layer = BulkheadLayer::builder(1).partition(angry, [(true, 0.5)]).build();
    let mut service = layer.layer(service_fn(forever));
    assert_eq!(panics(|| drop(call(&mut service, "x"))), "no key for x");
    assert_eq!(layer.handle().in_flight(), 0);
}

#[test]
fn partitions_of_one_layer_are_shared_by_its_clones() {
    let layer = BulkheadLayer::builder(2).partition(kind, [("a", 0.5)]).build();
    let mut first = layer.layer(service_fn(forever));
    let _held = [call(&mut first, "a"), call(&mut first, "a")];
    let mut second = layer.clone().layer(service_fn(forever));
    assert_eq!(fill(&mut second, "a").len(), 0);
    assert_eq!(fill(&mut second, "b").len(), 1);
}

/// The bound that a service puts on the type parameter is nameable from outside.
#[test]
fn a_partition_is_found_by_the_place_of_its_key() {
    fn index<P: FindPartition<&'static str>>(partition: &P) -> usize {
        partition.find_partition(&"a")
    }
    assert_eq!(index(&buttress::bulkhead::Whole), 0);
}
