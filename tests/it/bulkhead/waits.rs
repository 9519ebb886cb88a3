//! How long a call waits, and what the end of its wait is called.

use std::time::Duration;

use buttress::Reason;
use buttress::bulkhead::BulkheadLayer;
use buttress::observe::EventKind;
use buttress::timeout::{Deadline, Extended, FromRequest};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, service_fn};

use super::MS;
use crate::support::{Ask, Fault, Ledger, Mock, call, poll_once, refusal};

#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_is_queue_timed_out() {
    let layer = BulkheadLayer::builder(1).name("db").queue(4).max_wait(50 * MS).build();
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = layer.layer(mock);
    let _held = call(&mut service, Ask::Hold);
    for round in 1..=3 {
        let start = Instant::now();
        let refused = refusal(call(&mut service, Ask::Answer(1)).await);
        assert_eq!((refused.reason(), refused.name()), (Reason::QueueTimedOut, Some("db")));
        assert!(!refused.was_dispatched());
        let waited = start.elapsed();
        assert!((50 * MS..=51 * MS).contains(&waited), "never early, 1 ms late: {waited:?}");
        assert_eq!((layer.handle().queued(), watch.called().len()), (0, 1), "round {round}");
    }
}

/// How the wait of one call ends, whose request has `left` until its deadline.
async fn end_of_wait(max_wait: Option<Duration>, left: Option<Duration>) -> (Reason, Duration) {
    let deadline = left.map(Deadline::after);
    let mut builder = BulkheadLayer::builder(1).queue(1);
    if let Some(wait) = max_wait {
        builder = builder.max_wait(wait);
    }
    let layer = builder.deadline(move |_: &Ask| deadline).build();
    let mut service = layer.layer(Mock::new());
    let _held = call(&mut service, Ask::Hold);
    let start = Instant::now();
    let refused = refusal(call(&mut service, Ask::Answer(1)).await);
    assert!(!refused.was_dispatched());
    (refused.reason(), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn waits_are_the_shorter_of_max_wait_and_the_remaining_deadline() {
    let (short, long) = (Some(20 * MS), Some(70 * MS));
    for (max_wait, left, reason) in [
        (short, long, Reason::QueueTimedOut),
        (long, short, Reason::DeadlineExceeded),
        (short, None, Reason::QueueTimedOut),
        (None, short, Reason::DeadlineExceeded),
    ] {
        let (ended, waited) = end_of_wait(max_wait, left).await;
        assert_eq!(ended, reason, "max_wait {max_wait:?}, deadline in {left:?}");
        assert!((20 * MS..=21 * MS).contains(&waited), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_does_not_get_in_line() {
    let (ledger, deadline) = (Ledger::default(), Deadline::after(MS));
    let layer = BulkheadLayer::builder(1)
        .queue(1)
        .deadline(move |_: &Ask| Some(deadline))
        .observe(ledger.clone())
        .build();
    let mut service = layer.layer(Mock::new());
    let _held = call(&mut service, Ask::Hold);
    ledger.take("bulkhead");
    advance(MS).await;
    let refused = refusal(call(&mut service, Ask::Answer(1)).await);
    assert_eq!((refused.reason(), refused.was_dispatched()), (Reason::DeadlineExceeded, false));
    assert_eq!(ledger.take("bulkhead"), [EventKind::Rejected(Reason::DeadlineExceeded)]);
}

#[tokio::test(start_paused = true)]
async fn without_an_end_a_wait_goes_on() {
    let layer = BulkheadLayer::builder(1).queue(1).build();
    let mut service = layer.layer(Mock::new());
    let held = call(&mut service, Ask::Hold);
    let mut waiting = call(&mut service, Ask::Answer(1));
    assert!(poll_once(&mut waiting).is_pending());
    advance(Duration::from_secs(60 * 60 * 24 * 365)).await;
    assert!(poll_once(&mut waiting).is_pending());
    drop(held);
    assert_eq!(waiting.await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn the_longest_durations_are_no_error() {
    let layer = BulkheadLayer::builder(1)
        .queue(1)
        .max_wait(Duration::MAX)
        .deadline(|_: &Ask| Some(Deadline::after(Duration::MAX)))
        .build();
    let mut service = layer.layer(Mock::new());
    let held = call(&mut service, Ask::Hold);
    let mut waiting = call(&mut service, Ask::Answer(1));
    assert!(poll_once(&mut waiting).is_pending());
    drop(held);
    assert_eq!(waiting.await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_slot_granted_in_the_same_poll_as_the_timer_wins() {
    let layer = BulkheadLayer::builder(1).queue(1).max_wait(5 * MS).build();
    let mut service = layer.layer(Mock::new());
    let held = call(&mut service, Ask::Hold);
    let mut waiting = call(&mut service, Ask::Answer(1));
    assert!(poll_once(&mut waiting).is_pending());
    advance(5 * MS).await;
    drop(held);
    assert_eq!(waiting.await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_in_time_even_if_the_slot_is_there_and_the_inner_service_is_not_ready() {
    let ledger = Ledger::default();
    let layer =
        BulkheadLayer::builder(1).queue(1).max_wait(50 * MS).observe(ledger.clone()).build();
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
    let start = Instant::now();
    let refused = refusal((&mut waiting).await);
    assert_eq!(refused.reason(), Reason::QueueTimedOut);
    assert!(!refused.was_dispatched());
    assert!(start.elapsed() <= 51 * MS);
    // Before the answer is dropped: the slot comes back with the refusal.
    assert_eq!(layer.handle().in_flight(), 0);
    ledger.assert_settled();
    drop(waiting);
    assert_eq!(layer.handle().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_call_starts_after_its_deadline_even_if_its_turn_came_in_time() {
    let ledger = Ledger::default();
    let deadline = Deadline::after(10 * MS);
    let layer = BulkheadLayer::builder(1)
        .queue(1)
        .deadline(move |_: &Ask| Some(deadline))
        .observe(ledger.clone())
        .build();
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = layer.layer(mock);
    let held = call(&mut service, Ask::Hold);
    let mut waiting = call(&mut service, Ask::Answer(1));
    assert!(poll_once(&mut waiting).is_pending());
    advance(5 * MS).await;
    drop(held);
    advance(45 * MS).await;
    assert_eq!(refusal(waiting.await).reason(), Reason::DeadlineExceeded);
    assert_eq!(watch.called().len(), 1, "the one that held the slot");
    assert_eq!(layer.handle().in_flight(), 0);
    ledger.assert_settled();
}

/// One call that waits behind another, with this deadline; its turn comes `at`.
async fn turn_at(max_wait: Duration, deadline: Duration, at: Duration) -> Result<u32, Fault> {
    let deadline = Deadline::after(deadline);
    let layer = BulkheadLayer::builder(1)
        .queue(1)
        .max_wait(max_wait)
        .deadline(move |_: &Ask| Some(deadline))
        .build();
    let mut service = layer.layer(Mock::new());
    let held = call(&mut service, Ask::Hold);
    let mut waiting = call(&mut service, Ask::Answer(1));
    assert!(poll_once(&mut waiting).is_pending());
    advance(at).await;
    drop(held);
    waiting.await
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_at_the_deadline_itself_comes_too_late() {
    let long = 1000 * MS;
    assert_eq!(turn_at(long, 10 * MS, 9 * MS).await, Ok(1));
    let refused = refusal(turn_at(long, 10 * MS, 10 * MS).await);
    assert_eq!(refused.reason(), Reason::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_turn_after_the_deadline_comes_too_late_though_the_longest_wait_ended_first() {
    assert!(turn_at(9 * MS, 10 * MS, 11 * MS).await.is_err());
    assert_eq!(turn_at(9 * MS, 12 * MS, 11 * MS).await, Ok(1), "the slot wins");
}

/// A request with extensions, as any can be.
struct Request {
    deadline: Option<Deadline>,
}

impl Extended for Request {
    fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        (self.deadline.as_ref()? as &dyn std::any::Any).downcast_ref()
    }
}

#[tokio::test(start_paused = true)]
async fn from_request_finds_the_deadline_of_whatever_has_extensions() {
    let layer = BulkheadLayer::builder(1).queue(1).deadline(FromRequest).build();
    let inner = service_fn(async |_: Request| {
        sleep(30 * MS).await;
        Ok::<_, Fault>(())
    });
    let service = layer.layer(inner);
    let mut first = Box::pin(service.clone().call(Request { deadline: None }));
    assert!(poll_once(&mut first).is_pending());
    let deadline = Some(Deadline::after(10 * MS));
    let refused = refusal(service.clone().call(Request { deadline }).await);
    assert_eq!(refused.reason(), Reason::DeadlineExceeded);
    first.await.unwrap();
    service.clone().call(Request { deadline: None }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_looked_for_only_by_a_call_that_has_to_wait() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = asked.clone();
    let find = move |_: &Ask| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        None
    };
    let layer = BulkheadLayer::builder(1).queue(1).deadline(find).build();
    let mut service = layer.layer(Mock::new());
    let held = call(&mut service, Ask::Hold);
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 0);
    drop(call(&mut service, Ask::Hold));
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    drop(held);
}
