//! The bulkhead, sentence by sentence of what it promises. See `tests/SPEC.md`.

mod hostile;
mod partitions;
mod queue;
mod reports;
mod slots;
mod waits;

use std::time::Duration;

use buttress::Reason;
use buttress::bulkhead::BulkheadLayer;
use tower::{Layer, Service};

use crate::support::{Ask, Hand, Mock, call, poll_once, ready, refusal};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn max_concurrent_calls_are_in_flight_and_beyond_that_it_refuses() {
    let mock = Mock::new();
    let watch = mock.watch();
    let layer = BulkheadLayer::builder(3).name("db").build();
    let mut service = layer.layer(mock);
    for round in 1..=4 {
        let held: Vec<_> = (0..3).map(|_| call(&mut service, Ask::Hold)).collect();
        let refused = refusal(call(&mut service, Ask::Hold).await);
        assert_eq!((refused.reason(), refused.name()), (Reason::BulkheadFull, Some("db")));
        assert!(!refused.was_dispatched());
        assert_eq!(watch.called().len(), 3 * round, "the refused call never got in");
        assert_eq!(layer.handle().in_flight(), 3);
        drop(held);
    }
    assert_eq!(watch.most_replies(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_lets_the_next_one_in() {
    let layer = BulkheadLayer::new(1);
    let mut service = layer.layer(Mock::new());
    for ask in [Ask::Answer(1), Ask::After(MS, 1), Ask::Fail(1), Ask::FailAfter(MS, 1)] {
        let running = call(&mut service, ask);
        refusal(call(&mut service, Ask::Answer(2)).await);
        drop(running.await);
        assert_eq!(call(&mut service, Ask::Answer(3)).await, Ok(3), "after {ask:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn zero_refuses_everything() {
    let layer = BulkheadLayer::new(0);
    let queued = BulkheadLayer::builder(0).queue(8).build();
    for _ in 0..3 {
        let refused = refusal(call(&mut layer.layer(Mock::new()), Ask::Answer(1)).await);
        assert_eq!(refused.reason(), Reason::BulkheadFull);
        let refused = refusal(call(&mut queued.layer(Mock::new()), Ask::Answer(1)).await);
        assert_eq!(refused.reason(), Reason::BulkheadFull, "nobody waits for what cannot come");
    }
    assert_eq!((layer.handle().in_flight(), queued.handle().queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_leaves_the_instance_its_readiness() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = BulkheadLayer::new(1).layer(mock);
    let held = call(&mut service, Ask::Hold);
    refusal(call(&mut service, Ask::Answer(1)).await);
    watch.stall();
    drop(held);
    assert_eq!(call(&mut service, Ask::Answer(2)).await, Ok(2), "with the grant of the refused");
    assert!(Hand::new().poll_ready(&mut service).is_pending());
}

#[tokio::test(start_paused = true)]
async fn idle_services_that_are_ready_strand_no_slot() {
    let service = BulkheadLayer::new(1).layer(Mock::new());
    let mut idle = vec![service.clone(); 8];
    for service in &mut idle {
        ready(service);
    }
    assert_eq!(call(&mut service.clone(), Ask::Answer(1)).await, Ok(1));
    assert_eq!(idle[7].call(Ask::Answer(2)).await, Ok(2));
}

/// A runtime without timers, which panics at whoever makes one.
fn timeless() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn refusing_needs_no_timer_and_works_on_a_runtime_without_a_time_driver() {
    timeless().block_on(async {
        let layer = BulkheadLayer::new(1);
        let mut service = layer.layer(Mock::new());
        let held = call(&mut service, Ask::Hold);
        refusal(call(&mut service, Ask::Answer(1)).await);
        drop(held);
        assert_eq!(call(&mut service, Ask::Answer(2)).await, Ok(2));

        let layer = BulkheadLayer::builder(1).queue(1).max_wait(MS).build();
        let mut service = layer.layer(Mock::new());
        let held = call(&mut service, Ask::Hold);
        let waiting = call(&mut service, Ask::Answer(1));
        assert_eq!(
            refusal(call(&mut service, Ask::Answer(1)).await).reason(),
            Reason::BulkheadFull
        );
        drop((held, waiting));
        assert_eq!(call(&mut service, Ask::Answer(2)).await, Ok(2));
    });
}

#[test]
fn a_wait_without_an_end_needs_no_time_driver() {
    timeless().block_on(async {
        let layer = BulkheadLayer::builder(1).queue(1).build();
        let mut service = layer.layer(Mock::new());
        let held = call(&mut service, Ask::Hold);
        let mut waiting = call(&mut service, Ask::Answer(1));
        assert!(poll_once(&mut waiting).is_pending());
        drop(held);
        assert_eq!(waiting.await, Ok(1));
    });
}
