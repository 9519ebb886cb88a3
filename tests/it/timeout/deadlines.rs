//! Deadlines: one instant for a whole chain of calls.

use std::task::Poll;
use std::time::Duration;

use buttress::Reason;
use buttress::timeout::{Deadline, FromRequest, NoDeadline, TimeoutLayer};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, service_fn};

use super::{MS, assert_on_time};
use crate::support::{Ask, Fault, Hand, Mock, call, refusal};

/// How a call ends that may take `limit` and has `left` until its deadline.
async fn end(limit: Duration, left: Duration) -> (Reason, Duration) {
    let deadline = Deadline::after(left);
    let layer = TimeoutLayer::builder(limit).deadline(move |_: &Ask| Some(deadline)).build();
    let start = Instant::now();
    let refused = refusal(call(&mut layer.layer(Mock::new()), Ask::Hold).await);
    assert!(refused.was_dispatched(), "it was running");
    (refused.reason(), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_where_that_comes_first() {
    let (reason, taken) = end(70 * MS, 20 * MS).await;
    assert_eq!(reason, Reason::DeadlineExceeded);
    assert_on_time(taken, 20 * MS);
    let (reason, taken) = end(20 * MS, 70 * MS).await;
    assert_eq!(reason, Reason::TimedOut);
    assert_on_time(taken, 20 * MS);
    let (reason, taken) = end(Duration::MAX, 20 * MS).await;
    assert_eq!(reason, Reason::DeadlineExceeded);
    assert_on_time(taken, 20 * MS);
    let (reason, _) = end(20 * MS, Duration::MAX).await;
    assert_eq!(reason, Reason::TimedOut);
    let (reason, _) = end(20 * MS, 20 * MS).await;
    assert_eq!(reason, Reason::TimedOut, "neither came first");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_deadline_has_passed_is_refused_undispatched() {
    let mock = Mock::new();
    let watch = mock.watch();
    let deadline = Deadline::after(20 * MS);
    let layer =
        TimeoutLayer::builder(70 * MS).name("db").deadline(move |_: &Ask| Some(deadline)).build();
    let mut service = layer.layer(mock);
    advance(20 * MS).await;
    let refused = refusal(call(&mut service, Ask::Answer(1)).await);
    assert_eq!((refused.reason(), refused.name()), (Reason::DeadlineExceeded, Some("db")));
    assert!(!refused.was_dispatched());
    assert!(watch.called().is_empty());
    // The grant of the refused call is still good.
    watch.stall();
    assert!(Hand::new().poll_ready(&mut service).is_ready());
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_after_its_deadline() {
    let mock = Mock::new();
    let watch = mock.watch();
    let deadline = Deadline::after(50 * MS);
    let layer = TimeoutLayer::builder(70 * MS).deadline(move |_: &Ask| Some(deadline)).build();
    let mut service = layer.layer(mock);
    for _ in 0..100 {
        let before = watch.called().len();
        drop(call(&mut service, Ask::Answer(1)).await);
        assert!(watch.called().len() == before || !deadline.has_passed());
        advance(MS).await;
    }
    assert_eq!(watch.called().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn the_whole_chain_of_calls_shares_one_deadline() {
    let deadline = Deadline::after(50 * MS);
    let find = move |_: &Ask| Some(deadline);
    let layer = |name| TimeoutLayer::builder(900 * MS).name(name).deadline(find).build();
    let inner = layer("inner").layer(Mock::new());
    let middle = service_fn(move |ask| {
        let mut inner = inner.clone();
        async move {
            tokio::time::sleep(30 * MS).await;
            call(&mut inner, ask).await
        }
    });
    let mut outer = layer("outer").layer(middle);
    let start = Instant::now();
    let refused = refusal(call(&mut outer, Ask::Hold).await);
    assert_eq!(refused.reason(), Reason::DeadlineExceeded);
    // The 30 ms that were used up on the way are not granted again.
    assert_on_time(start.elapsed(), 50 * MS);
}

/// A request that carries its deadline among its extensions.
#[derive(Default)]
struct Request(Option<Deadline>);

impl buttress::timeout::Extended for Request {
    fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        (self.0.as_ref()? as &dyn std::any::Any).downcast_ref()
    }
}

#[tokio::test(start_paused = true)]
async fn from_request_serves_whatever_has_extensions() {
    let layer = TimeoutLayer::builder(50 * MS).deadline(FromRequest).build();
    let mut service = layer.layer(service_fn(async |_: Request| {
        tokio::time::sleep(40 * MS).await;
        Ok::<_, Fault>(())
    }));
    service.call(Request(None)).await.unwrap();
    service.call(Request(Some(Deadline::after(45 * MS)))).await.unwrap();
    let refused = refusal(service.call(Request(Some(Deadline::after(20 * MS)))).await);
    assert_eq!(refused.reason(), Reason::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn requests_of_any_type_pass_where_no_deadline_is_asked_for() {
    struct Foreign;
    let layer = TimeoutLayer::builder(50 * MS).deadline(NoDeadline).build();
    let mut service = layer.layer(service_fn(async |_: Foreign| Ok::<_, Fault>(())));
    service.call(Foreign).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_an_absolute_instant() {
    let deadline = Deadline::after(50 * MS);
    assert_eq!(deadline, Deadline::at(Instant::now() + 50 * MS));
    assert_eq!(deadline.instant(), Instant::now() + 50 * MS);
    for left in (1..=50).rev() {
        assert_eq!((deadline.remaining(), deadline.has_passed()), (left * MS, false));
        advance(MS).await;
    }
    assert_eq!((deadline.remaining(), deadline.has_passed()), (Duration::ZERO, true));
    advance(900 * MS).await;
    assert_eq!((deadline.remaining(), deadline.has_passed()), (Duration::ZERO, true));
    assert!(Deadline::after(Duration::MAX) > deadline, "too long to be held, but no panic");
}

#[tokio::test(start_paused = true)]
async fn a_result_in_the_same_poll_as_the_deadline_wins() {
    let mock = Mock::new();
    let watch = mock.watch();
    let deadline = Deadline::after(5 * MS);
    let layer = TimeoutLayer::builder(900 * MS).deadline(move |_: &Ask| Some(deadline)).build();
    let mut future = call(&mut layer.layer(mock), Ask::Hold);
    let hand = Hand::new();
    assert!(hand.poll(&mut future).is_pending());
    advance(9 * MS).await;
    assert!(hand.woken() > 0);
    watch.let_go();
    assert_eq!(hand.poll(&mut future), Poll::Ready(Ok(0)));
}
