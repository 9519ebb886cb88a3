//! Who waits, who is served, and in which order.

use std::pin::Pin;
use std::task::Poll;

use buttress::Reason;
use buttress::bulkhead::{Bulkhead, BulkheadLayer, Queue, QueueOrder, QueuedFuture};
use tokio::time::advance;
use tower::Layer;
use tower::limit::ConcurrencyLimit;

use super::MS;
use crate::support::{Ask, Fault, Hand, Mock, Reply, call, poll_once, ready, refusal};

type Waiting = Pin<Box<QueuedFuture<Mock, Reply, Ask>>>;

/// A bulkhead of one whose slot is taken, and those in line, each with a waker of its own.
struct Line {
    layer: BulkheadLayer<Queue>,
    service: Bulkhead<Mock, Queue>,
    holder: Option<Waiting>,
    waiting: Vec<(Waiting, Hand)>,
}

impl Line {
    fn new(layer: BulkheadLayer<Queue>) -> Self {
        let mut service = layer.layer(Mock::new());
        let holder = Some(call(&mut service, Ask::Hold));
        Self { layer, service, holder, waiting: Vec::new() }
    }

    /// Gets in line, to be answered with its number.
    fn join(&mut self) {
        let number = u32::try_from(self.waiting.len()).unwrap();
        let (mut waiting, hand) = (call(&mut self.service, Ask::Answer(number)), Hand::new());
        assert!(hand.poll(&mut waiting).is_pending());
        self.waiting.push((waiting, hand));
    }

    /// The numbers of those whose turn it is.
    fn woken(&self) -> Vec<usize> {
        let woken = |(n, (_, hand)): (usize, &(Waiting, Hand))| (hand.woken() > 0).then_some(n);
        self.waiting.iter().enumerate().filter_map(woken).collect()
    }

    /// Frees the slot, and lets everybody have it whose turn it is: the order of service.
    fn order(mut self) -> Vec<usize> {
        self.holder = None;
        let mut order = Vec::new();
        while let [next] = self.woken()[..] {
            let (waiting, hand) = &mut self.waiting[next];
            assert_eq!(hand.poll(waiting), Poll::Ready(Ok(u32::try_from(next).unwrap())));
            order.push(next);
        }
        assert_eq!((self.layer.handle().in_flight(), self.layer.handle().queued()), (0, 0));
        order
    }
}

fn queue(order: QueueOrder) -> Line {
    Line::new(BulkheadLayer::builder(1).queue(8).order(order).build())
}

#[tokio::test(start_paused = true)]
async fn fifo_serves_whoever_has_waited_longest_and_is_the_default() {
    for mut line in [queue(QueueOrder::Fifo), Line::new(BulkheadLayer::builder(1).queue(8).build())]
    {
        for _ in 0..4 {
            line.join();
            advance(400 * MS).await;
        }
        assert_eq!(line.order(), [0, 1, 2, 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn lifo_serves_whoever_came_last() {
    let mut line = queue(QueueOrder::Lifo);
    for _ in 0..4 {
        line.join();
    }
    assert_eq!(line.order(), [3, 2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn adaptive_turns_round_once_the_queue_has_stood_for_100_ms() {
    for (stood, expected) in [(99 * MS, [0, 1, 2]), (100 * MS, [2, 1, 0])] {
        let mut line = queue(QueueOrder::Adaptive);
        line.join();
        advance(stood / 2).await;
        line.join();
        line.join();
        advance(stood - stood / 2).await;
        assert_eq!(line.order(), expected, "after {stood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn adaptive_is_fifo_again_once_the_queue_has_been_empty() {
    let mut line = queue(QueueOrder::Adaptive);
    for _ in 0..10 {
        line.join();
        advance(60 * MS).await;
        line.waiting.clear();
    }
    // 600 ms of waiting, but never 100 ms without a break.
    for _ in 0..3 {
        line.join();
    }
    advance(60 * MS).await;
    assert_eq!(line.order(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let mut line = Line::new(BulkheadLayer::builder(1).queue(2).max_wait(900 * MS).build());
    line.join();
    line.join();
    for _ in 0..3 {
        let refused = poll_once(&mut call(&mut line.service, Ask::Answer(9)));
        let Poll::Ready(refused) = refused else { panic!("it waits in a full queue") };
        assert_eq!(refusal(refused).reason(), Reason::BulkheadFull);
    }
    assert_eq!(line.layer.handle().queued(), 2);
    // One leaves, one may come.
    line.waiting.pop();
    line.join();
    assert_eq!(line.order(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_nobody_refuses_at_once() {
    let mut line = Line::new(BulkheadLayer::builder(1).queue(0).build());
    refusal(call(&mut line.service, Ask::Answer(9)).await);
    line.holder = None;
    assert_eq!(call(&mut line.service, Ask::Answer(9)).await, Ok(9));
}

#[tokio::test(start_paused = true)]
async fn nobody_passes_the_line() {
    let mut line = queue(QueueOrder::Fifo);
    line.join();
    line.holder = None;
    // Granted but not collected: the slot is taken, and the newcomer waits.
    let mut newcomer = call(&mut line.service, Ask::Answer(7));
    assert!(poll_once(&mut newcomer).is_pending());
    assert_eq!((line.layer.handle().in_flight(), line.layer.handle().queued()), (1, 1));
    line.waiting.clear();
    assert_eq!(newcomer.await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn the_task_that_polled_last_is_the_one_that_is_woken() {
    let mut line = queue(QueueOrder::Fifo);
    line.join();
    let moved_to = Hand::new();
    assert!(moved_to.poll(&mut line.waiting[0].0).is_pending());
    line.holder = None;
    assert_eq!((line.woken(), moved_to.woken()), (vec![], 1));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_gave_up_never_receives_a_slot() {
    let mut line = queue(QueueOrder::Fifo);
    for _ in 0..4 {
        line.join();
    }
    line.waiting.remove(2);
    line.waiting.remove(0);
    line.holder = None;
    // Of those left, the second and the fourth.
    assert_eq!(line.woken(), [0]);
    // Granted, and gone without knowing: the slot goes to the next.
    line.waiting.remove(0);
    assert_eq!(line.woken(), [0]);
    assert_eq!(line.layer.handle().in_flight(), 1);
    line.waiting.clear();
    assert_eq!(line.layer.handle().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_time_is_over_never_receives_a_slot() {
    let layer = BulkheadLayer::builder(1).queue(2).max_wait(5 * MS).build();
    let mut line = Line::new(layer);
    line.join();
    advance(3 * MS).await;
    line.join();
    advance(3 * MS).await;
    assert_eq!(line.woken(), [0], "its time is over");
    let (first, hand) = &mut line.waiting[0];
    let Poll::Ready(refused) = hand.poll(first) else { panic!("its time is over") };
    assert_eq!(refusal(refused).reason(), Reason::QueueTimedOut);
    line.holder = None;
    assert_eq!(line.woken(), [1], "the slot is for the one who still waits");
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_holds_none_of_the_inner_services_readiness() {
    let mut scarce = ConcurrencyLimit::new(Mock::new(), 2);
    let mut service = BulkheadLayer::builder(1).queue(1).build().layer(scarce.clone());
    let mut holder = call(&mut service, Ask::Hold);
    assert!(poll_once(&mut holder).is_pending());
    let mut waiting = call(&mut service, Ask::Answer(2));
    assert!(poll_once(&mut waiting).is_pending());
    // The second permit is free for anybody: neither the waiting call nor its service kept it.
    assert_eq!(call(&mut scarce, Ask::Answer(1)).await, Ok(1));
    ready(&mut scarce);
    drop(holder);
    assert_eq!(waiting.await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_turn_has_come_readies_a_clone_of_its_own() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = BulkheadLayer::builder(1).queue(1).build().layer(mock);
    let holder = call(&mut service, Ask::Hold);
    let hand = Hand::new();
    let mut waiting = call(&mut service, Ask::Answer(1));
    assert!(hand.poll(&mut waiting).is_pending());
    watch.stall();
    drop(holder);
    assert!(hand.woken() > 0);
    assert!(hand.poll(&mut waiting).is_pending(), "its clone is not ready");
    assert_eq!(hand.woken(), 0);
    watch.unstall();
    assert!(hand.woken() > 0, "the inner readiness wakes it");
    assert_eq!(hand.poll(&mut waiting), Poll::Ready(Ok(1)));
    assert_eq!(watch.called().last(), watch.readied().last());
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_fails_when_the_turn_has_come_fails_the_call() {
    let mock = Mock::new();
    let watch = mock.watch();
    let layer = BulkheadLayer::builder(1).queue(1).build();
    let mut service = layer.layer(mock);
    let holder = call(&mut service, Ask::Hold);
    let waiting = call(&mut service, Ask::Answer(1));
    watch.fail_readiness(5);
    drop(holder);
    assert_eq!(waiting.await, Err(Fault::Broken(5)));
    assert_eq!(layer.handle().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_fast_path_clones_nothing() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = BulkheadLayer::builder(2).queue(8).max_wait(MS).build().layer(mock);
    for n in 0..100 {
        let held = call(&mut service, Ask::Hold);
        assert_eq!(call(&mut service, Ask::Answer(n)).await, Ok(n));
        drop(held);
    }
    assert_eq!(watch.instances(), 1);
}
