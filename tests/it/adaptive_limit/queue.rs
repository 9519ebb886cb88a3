//! Beyond the limit, as the bulkhead does: length, longest wait, order.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use buttress::Reason;
use buttress::adaptive_limit::{AdaptiveLimitLayer, Outcome, QueuedFuture};
use buttress::bulkhead::QueueOrder;
use buttress::classify::DefaultClassifier;
use buttress::timeout::Deadline;
use tokio::time::{Instant, advance};
use tower::Layer;

use super::MS;
use super::puppet::Puppet;
use crate::support::{Ask, Hand, Mock, Reply, call, poll_once, refusal};

type Waiting = Pin<Box<QueuedFuture<Mock, Reply, Ask, Puppet, DefaultClassifier>>>;

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_it_can_queue_and_a_full_queue_refuses_at_once() {
    let puppet = Puppet::at(1.0);
    let layer = AdaptiveLimitLayer::builder().algorithm(puppet.clone()).queue(2).build();
    let mut service = layer.layer(Mock::new());
    let held = call(&mut service, Ask::Hold);
    let mut waiting = [1, 2].map(|n| call(&mut service, Ask::Answer(n)));
    for future in &mut waiting {
        assert!(poll_once(future).is_pending());
    }
    assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (1, 2));
    assert_eq!(refusal(call(&mut service, Ask::Answer(3)).await).reason(), Reason::LimitReached);
    drop(held);
    let [first, second] = waiting;
    assert_eq!((first.await, second.await), (Ok(1), Ok(2)));
    assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (0, 0));
    assert_eq!(puppet.ended().len(), 3);
}

/// The order in which three are served that came one after the other, `apart`.
async fn served(order: QueueOrder, apart: Duration) -> Vec<usize> {
    let layer =
        AdaptiveLimitLayer::builder().algorithm(Puppet::at(1.0)).queue(9).order(order).build();
    let mut service = layer.layer(Mock::new());
    let held = call(&mut service, Ask::Hold);
    let mut waiting: Vec<(Waiting, Hand)> = Vec::new();
    for _ in 0..3 {
        waiting.push((call(&mut service, Ask::Answer(0)), Hand::new()));
        let (future, hand) = waiting.last_mut().unwrap();
        assert!(hand.poll(future).is_pending());
        advance(apart).await;
    }
    drop(held);
    let mut served = Vec::new();
    while let Some(next) = waiting.iter().position(|(_, hand)| hand.woken() > 0) {
        if served.contains(&next) {
            break;
        }
        let (future, hand) = &mut waiting[next];
        assert_eq!(hand.poll(future), Poll::Ready(Ok(0)));
        *hand = Hand::new();
        served.push(next);
    }
    served
}

#[tokio::test(start_paused = true)]
async fn the_line_has_the_orders_of_the_bulkhead() {
    assert_eq!(served(QueueOrder::Fifo, 40 * MS).await, [0, 1, 2]);
    assert_eq!(served(QueueOrder::Lifo, Duration::ZERO).await, [2, 1, 0]);
    assert_eq!(served(QueueOrder::Adaptive, 10 * MS).await, [0, 1, 2]);
    assert_eq!(served(QueueOrder::Adaptive, 40 * MS).await, [2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn waits_are_the_shorter_of_max_wait_and_the_remaining_deadline() {
    for (max_wait, left, reason) in
        [(20 * MS, 70 * MS, Reason::QueueTimedOut), (70 * MS, 20 * MS, Reason::DeadlineExceeded)]
    {
        let deadline = Deadline::after(left);
        let puppet = Puppet::at(1.0);
        let layer = AdaptiveLimitLayer::builder()
            .algorithm(puppet.clone())
            .queue(1)
            .max_wait(max_wait)
            .deadline(move |_: &Ask| Some(deadline))
            .build();
        let mut service = layer.layer(Mock::new());
        let _held = call(&mut service, Ask::Hold);
        let start = Instant::now();
        let refused = refusal(call(&mut service, Ask::Answer(1)).await);
        assert_eq!((refused.reason(), refused.was_dispatched()), (reason, false));
        assert!((20 * MS..=21 * MS).contains(&start.elapsed()), "{:?}", start.elapsed());
        assert_eq!(layer.handle().queued(), 0);
        assert_eq!((puppet.admitted().len(), puppet.ended().len()), (1, 0), "no sample");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_grows_serves_the_line_at_once() {
    let puppet = Puppet::at(2.0);
    let layer = AdaptiveLimitLayer::builder().algorithm(puppet.clone()).queue(9).build();
    let mut service = layer.layer(Mock::new());
    let _held = call(&mut service, Ask::Hold);
    let ends = call(&mut service, Ask::Hold);
    let mut waiting: Vec<_> =
        (0..4).map(|_| (call(&mut service, Ask::Hold), Hand::new())).collect();
    for (future, hand) in &mut waiting {
        assert!(hand.poll(future).is_pending());
    }
    puppet.set_limit(4.0);
    drop(ends);
    let woken: Vec<_> = waiting.iter().map(|(_, hand)| hand.woken()).collect();
    assert_eq!(woken, [1, 1, 1, 0], "the slot that was freed, and two that are new");
    assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_no_part_of_the_latency_and_presses_the_limit() {
    let puppet = Puppet::at(1.0);
    let layer = AdaptiveLimitLayer::builder().algorithm(puppet.clone()).queue(9).build();
    let mut service = layer.layer(Mock::new());
    let held = call(&mut service, Ask::Hold);
    let mut waiting = call(&mut service, Ask::After(20 * MS, 1));
    assert!(poll_once(&mut waiting).is_pending());
    advance(500 * MS).await;
    drop(held);
    assert!(puppet.ended()[0].pressed, "somebody was made to wait");
    assert_eq!(waiting.await, Ok(1));
    let [ended] = puppet.ended()[..] else { panic!("one call") };
    assert_eq!((ended.latency, ended.outcome), (20 * MS, Outcome::Answered));
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_not_used_in_time_is_no_sample() {
    let puppet = Puppet::at(1.0);
    let layer =
        AdaptiveLimitLayer::builder().algorithm(puppet.clone()).queue(9).max_wait(50 * MS).build();
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = layer.layer(mock);
    let held = call(&mut service, Ask::Hold);
    let mut waiting = call(&mut service, Ask::Answer(1));
    assert!(poll_once(&mut waiting).is_pending());
    watch.stall();
    drop(held);
    assert!(poll_once(&mut waiting).is_pending());
    assert_eq!(layer.handle().in_flight(), 1, "its turn has come");
    puppet.outcomes();
    assert_eq!(refusal((&mut waiting).await).reason(), Reason::QueueTimedOut);
    assert_eq!(puppet.outcomes(), [Outcome::Unknown]);
    assert_eq!(layer.handle().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_who_leaves_as_the_turn_comes_passes_it_on() {
    let layer = AdaptiveLimitLayer::builder().algorithm(Puppet::at(1.0)).queue(9).build();
    let mut service = layer.layer(Mock::new());
    let held = call(&mut service, Ask::Hold);
    let mut leaving = call(&mut service, Ask::Answer(1));
    let mut next = call(&mut service, Ask::Answer(2));
    assert!(poll_once(&mut leaving).is_pending() && poll_once(&mut next).is_pending());
    drop(held);
    drop(leaving);
    assert_eq!(next.await, Ok(2));
    assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (0, 0));
}
