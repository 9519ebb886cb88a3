//! When a slot is taken and when it is free again, whatever happens to the call.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use buttress::Class;
use buttress::admission::{Hold, Settle};
use buttress::bulkhead::{BulkheadLayer, QueueOrder};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::advance;
use tower::{Layer, Service};

use super::{MS, timeless};
use crate::support::{Ask, Hand, Ledger, Mock, call, panics, poll_once, refusal};

#[tokio::test(start_paused = true)]
async fn a_slot_is_freed_when_the_inner_future_is_ready() {
    let (refusing, queueing) = (BulkheadLayer::new(1), BulkheadLayer::builder(1).queue(1).build());
    for ask in [Ask::Answer(1), Ask::Fail(1)] {
        let mut done = call(&mut refusing.layer(Mock::new()), ask);
        assert_eq!(refusing.handle().in_flight(), 1);
        drop(poll_fn(|cx| done.as_mut().poll(cx)).await);
        assert_eq!(refusing.handle().in_flight(), 0, "although the future is still there");
        let mut done = call(&mut queueing.layer(Mock::new()), ask);
        drop(poll_fn(|cx| done.as_mut().poll(cx)).await);
        assert_eq!(queueing.handle().in_flight(), 0, "although the future is still there");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_freed_when_the_inner_future_is_dropped() {
    let layer = BulkheadLayer::builder(1).queue(1).build();
    let mut service = layer.layer(Mock::new());
    drop(call(&mut service, Ask::Answer(1)));
    assert_eq!(layer.handle().in_flight(), 0, "never polled");
    assert!(poll_once(&mut call(&mut service, Ask::Hold)).is_pending());
    assert_eq!(layer.handle().in_flight(), 0, "polled once");
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_freed_when_the_inner_service_panics() {
    let (refusing, queueing) = (BulkheadLayer::new(1), BulkheadLayer::builder(1).queue(1).build());
    for ask in [Ask::PanicInCall, Ask::PanicInPoll] {
        let mut service = refusing.layer(Mock::new());
        panics(|| drop(poll_once(&mut call(&mut service, ask))));
        assert_eq!(refusing.handle().in_flight(), 0, "{ask:?}");
        let mut service = queueing.layer(Mock::new());
        panics(|| drop(poll_once(&mut call(&mut service, ask))));
        assert_eq!(queueing.handle().in_flight(), 0, "{ask:?}");
        assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1), "and the service lives on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_freed_when_the_inner_service_panics_after_a_wait() {
    for ask in [Ask::Answer(1), Ask::PanicInCall, Ask::PanicInPoll] {
        let mock = Mock::new();
        let watch = mock.watch();
        let layer = BulkheadLayer::builder(1).queue(1).build();
        let mut service = layer.layer(mock);
        let held = call(&mut service, Ask::Hold);
        let mut waiting = call(&mut service, ask);
        assert!(poll_once(&mut waiting).is_pending());
        drop(held);
        if ask == Ask::Answer(1) {
            watch.panic_in_readiness();
        }
        panics(move || drop(poll_once(&mut waiting)));
        assert_eq!(layer.handle().in_flight(), 0, "{ask:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_handed_on_keeps_the_slot_until_it_is_settled_or_dropped() {
    let ledger = Ledger::default();
    let layer = BulkheadLayer::builder(1).observe(ledger.clone()).build();
    let mut service = layer.layer(Mock::new());
    for settle in [true, false] {
        let mut future = call(&mut service, Ask::Answer(1));
        let (outcome, permit) = poll_fn(|cx| future.as_mut().poll_hold(cx)).await;
        drop(future);
        assert_eq!(outcome, Ok(1));
        let permit = permit.expect("an admitted call has one");
        assert_eq!(layer.handle().in_flight(), 1);
        refusal(call(&mut service, Ask::Answer(1)).await);
        if settle {
            permit.settle(Class::Success);
        } else {
            drop(permit);
        }
        assert_eq!(layer.handle().in_flight(), 0);
        ledger.assert_settled();
    }
    let _held = call(&mut service, Ask::Hold);
    let mut refused = call(&mut service, Ask::Answer(1));
    let (_, permit) = poll_fn(|cx| refused.as_mut().poll_hold(cx)).await;
    assert!(permit.is_none(), "a refused call has none");
}

#[tokio::test(start_paused = true)]
async fn raising_the_limit_wakes_waiters_at_once() {
    let layer = BulkheadLayer::builder(1).queue(4).build();
    let mut service = layer.layer(Mock::new());
    let _held = call(&mut service, Ask::Hold);
    let mut waiting: Vec<_> =
        (0..4).map(|_| (call(&mut service, Ask::Hold), Hand::new())).collect();
    for (future, hand) in &mut waiting {
        assert!(hand.poll(future).is_pending());
    }
    layer.handle().resize(3);
    let woken: Vec<_> = waiting.iter().map(|(_, hand)| hand.woken()).collect();
    assert_eq!(woken, [1, 1, 0, 0]);
    assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (3, 2));
    layer.handle().resize(100);
    assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn lowering_the_limit_lets_calls_in_flight_drain_and_never_blocks() {
    let layer = BulkheadLayer::new(3);
    let handle = layer.handle();
    let mut service = layer.layer(Mock::new());
    let mut held: Vec<_> = (0..3).map(|_| call(&mut service, Ask::Hold)).collect();
    handle.resize(1);
    assert_eq!((handle.limit(), handle.in_flight()), (1, 3), "nobody is ended");
    while held.pop().is_some() {
        let expected = usize::from(held.is_empty());
        let admitted = call(&mut service, Ask::Answer(1)).await.is_ok();
        assert_eq!(usize::from(admitted), expected, "with {} in flight", held.len());
    }
    handle.resize(0);
    refusal(call(&mut service, Ask::Answer(1)).await);
    handle.resize(usize::MAX);
    assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_slot_freed_above_a_lowered_limit_is_not_granted() {
    let layer = BulkheadLayer::builder(2).queue(2).build();
    let mut service = layer.layer(Mock::new());
    let held = [call(&mut service, Ask::Hold), call(&mut service, Ask::Hold)];
    let (mut waiting, hand) = (call(&mut service, Ask::Answer(1)), Hand::new());
    assert!(hand.poll(&mut waiting).is_pending());
    layer.handle().resize(1);
    let [first, second] = held;
    drop(first);
    assert_eq!((hand.woken(), layer.handle().in_flight()), (0, 1));
    drop(second);
    assert_eq!(hand.woken(), 1);
    assert_eq!(waiting.await, Ok(1));
}

/// Random calls, polls, timeouts, cancels and resizes. Whoever is woken is polled before the
/// books are compared, so that every permit belongs to an inner future.
async fn race(order: QueueOrder, seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mock = Mock::new();
    let watch = mock.watch();
    let layer = BulkheadLayer::builder(3).queue(6).max_wait(9 * MS).order(order).build();
    let (handle, mut service) = (layer.handle(), layer.layer(mock));
    let mut calls = BTreeMap::new();
    for n in 0..4000u32 {
        match rng.random_range(0..10) {
            0..4 => {
                let ask = [Ask::Hold, Ask::Pend(2), Ask::After(5 * MS, 1)];
                let ask = ask[rng.random_range(0..3)];
                let (mut future, hand) = (call(&mut service, ask), Hand::new());
                if hand.poll(&mut future).is_pending() {
                    calls.insert(n, (future, hand));
                }
            }
            4..8 if !calls.is_empty() => {
                let at = rng.random_range(0..calls.len());
                let key = *calls.keys().nth(at).unwrap();
                calls.remove(&key);
            }
            8 => handle.resize(rng.random_range(0..6)),
            _ => advance(MS).await,
        }
        loop {
            let before = calls.len();
            let woken = calls.values().filter(|(_, hand)| hand.woken() > 0).count();
            calls.retain(|_, (future, hand)| hand.poll(future).is_pending());
            if woken == 0 && calls.len() == before {
                break;
            }
        }
        assert_eq!(handle.in_flight(), watch.replies(), "seed {seed}, step {n}");
        assert_eq!(handle.queued(), calls.len() - watch.replies(), "seed {seed}, step {n}");
    }
    calls.clear();
    assert_eq!((handle.in_flight(), handle.queued()), (0, 0), "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn after_any_number_of_races_in_flight_is_exactly_the_number_of_held_permits() {
    for seed in 0..10 {
        for order in [QueueOrder::Fifo, QueueOrder::Lifo, QueueOrder::Adaptive] {
            race(order, seed).await;
        }
    }
}

#[test]
fn threads_that_enter_wait_and_give_up_leave_nothing_behind() {
    let mock = Mock::new();
    let watch = mock.watch();
    let layer = BulkheadLayer::builder(2).queue(3).build();
    let service = layer.layer(mock);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let mut service = service.clone();
            scope.spawn(move || {
                let mut rng = SmallRng::seed_from_u64(seed);
                let mut cx = Context::from_waker(Waker::noop());
                for _ in 0..20_000 {
                    let ask = if rng.random() { Ask::Pend(1) } else { Ask::Hold };
                    let mut future = call(&mut service, ask);
                    for _ in 0..rng.random_range(0..4) {
                        if Pin::new(&mut future).poll(&mut cx).is_ready() {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert!(watch.most_replies() <= 2, "{} at once", watch.most_replies());
    assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (0, 0));
}

#[test]
fn threads_that_wait_are_all_served() {
    let mock = Mock::new();
    let watch = mock.watch();
    let service = BulkheadLayer::builder(1).queue(8).build().layer(mock);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut service = service.clone();
            scope.spawn(move || {
                timeless().block_on(async {
                    for n in 0..5_000 {
                        poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
                        service.call(Ask::Pend(n % 2)).await.unwrap();
                    }
                });
            });
        }
    });
    assert_eq!((watch.called().len(), watch.most_replies()), (20_000, 1));
}

#[test]
fn a_ready_answer_is_ready_at_once() {
    let mut future = call(&mut BulkheadLayer::new(1).layer(Mock::new()), Ask::Answer(4));
    assert_eq!(poll_once(&mut future), Poll::Ready(Ok(4)));
}
