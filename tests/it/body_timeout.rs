//! The timeout of bodies, sentence by sentence of what it promises.

mod reports;

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress::http::TimeoutBody;
use buttress::{BoxError, Reason, Rejectable, Rejected};
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, advance, sleep};

use crate::support::{Fault, Fill, Hand, Pipe, panics, pipe};

const MS: Duration = Duration::from_millis(1);

type Bounded = Pin<Box<TimeoutBody<Pipe>>>;

fn idle(limit: Duration) -> (Fill, Bounded) {
    let (fill, body) = pipe();
    (fill, Box::pin(TimeoutBody::new(body).idle(limit)))
}

fn total(limit: Duration) -> (Fill, Bounded) {
    let (fill, body) = pipe();
    (fill, Box::pin(TimeoutBody::new(body).total(limit)))
}

fn poll(body: &mut Bounded) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()))
}

async fn text(body: &mut Bounded) -> Bytes {
    body.frame().await.expect("a frame").expect("no error").into_data().expect("data")
}

/// The refusal that a body has to end with.
#[track_caller]
fn refusal(frame: Option<Result<Frame<Bytes>, BoxError>>) -> Rejected {
    let error = frame.expect("no end").expect_err("no frame");
    let rejected = Rejected::find(&*error).expect("a refusal").clone();
    assert_eq!(error.rejected(), Some(&rejected));
    assert_eq!(rejected.reason(), Reason::TimedOut);
    assert!(rejected.was_dispatched());
    rejected
}

/// Fails unless the body ends after this long with a timeout.
async fn ends(body: &mut Bounded, taken: Duration) {
    let start = Instant::now();
    refusal(body.frame().await);
    let elapsed = start.elapsed();
    assert!(elapsed >= taken && elapsed <= taken + MS, "{elapsed:?} of {taken:?}");
}

#[tokio::test(start_paused = true)]
async fn idle_is_the_longest_wait_for_the_next_frame() {
    let (fill, mut body) = idle(10 * MS);
    for _ in 0..20 {
        let fill = fill.clone();
        tokio::spawn(async move {
            sleep(9 * MS).await;
            fill.data("a");
        });
        assert_eq!(text(&mut body).await, "a");
    }
    ends(&mut body, 10 * MS).await;
}

#[tokio::test(start_paused = true)]
async fn each_frame_begins_the_wait_anew() {
    let (fill, mut body) = idle(10 * MS);
    // Pending first, so that there is a timer that could be left as it was.
    assert!(poll(&mut body).is_pending());
    advance(7 * MS).await;
    fill.data("a");
    assert_eq!(text(&mut body).await, "a");
    ends(&mut body, 10 * MS).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_charged() {
    let (fill, mut body) = idle(10 * MS);
    for _ in 0..5 {
        // Nobody asks, whether there is a frame or not.
        sleep(90 * MS).await;
        fill.data("a");
        assert_eq!(text(&mut body).await, "a");
        fill.data("b");
        sleep(90 * MS).await;
        assert_eq!(text(&mut body).await, "b");
        // Asked, and gone for long: the frame has come in time.
        assert!(poll(&mut body).is_pending());
        advance(5 * MS).await;
        fill.data("c");
        advance(90 * MS).await;
        assert_eq!(text(&mut body).await, "c");
    }
    sleep(90 * MS).await;
    ends(&mut body, 10 * MS).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_ready_in_the_same_poll_as_the_timer_wins() {
    let (fill, mut body) = idle(10 * MS);
    assert!(poll(&mut body).is_pending());
    advance(20 * MS).await;
    fill.data("a");
    assert_eq!(text(&mut body).await, "a");
}

#[tokio::test(start_paused = true)]
async fn total_counts_from_the_head_to_the_end_of_the_body() {
    let (fill, mut body) = total(50 * MS);
    for _ in 0..4 {
        sleep(10 * MS).await;
        fill.data("a");
        assert_eq!(text(&mut body).await, "a");
    }
    ends(&mut body, 10 * MS).await;
    // One that has ended is not ended again.
    let (fill, mut body) = total(50 * MS);
    fill.data("a").end();
    assert_eq!(text(&mut body).await, "a");
    sleep(90 * MS).await;
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn total_also_ends_a_body_that_is_always_ready() {
    let (fill, mut body) = total(50 * MS);
    fill.endless();
    let mut frames = 0;
    let end = loop {
        match body.frame().await {
            Some(Ok(_)) if frames < 100 => frames += 1,
            end => break end,
        }
        advance(10 * MS).await;
    };
    refusal(end);
    assert_eq!(frames, 5);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_ready_in_the_same_poll_as_the_total_wins() {
    let ends: [fn(&Fill) -> &Fill; 3] = [Fill::end, Fill::trailers, |fill| fill.data("z").end()];
    for put in ends {
        let (fill, mut body) = total(50 * MS);
        assert!(poll(&mut body).is_pending());
        advance(90 * MS).await;
        put(&fill);
        let Poll::Ready(end) = poll(&mut body) else { panic!("it is there") };
        assert!(end.is_none_or(|frame| frame.is_ok()));
    }
}

#[tokio::test(start_paused = true)]
async fn of_both_limits_the_first_ends_the_body() {
    for (limit, whole, taken) in [(10, 50, 10), (50, 10, 10), (10, 10, 10)] {
        let (_fill, body) = pipe();
        let body = TimeoutBody::new(body).idle(limit * MS).total(whole * MS);
        ends(&mut Box::pin(body), taken * MS).await;
    }
    // The waits are short enough, and together too long.
    let (fill, body) = pipe();
    let mut body = Box::pin(TimeoutBody::new(body).idle(10 * MS).total(22 * MS));
    for _ in 0..3 {
        assert!(poll(&mut body).is_pending());
        advance(7 * MS).await;
        fill.data("a");
        assert_eq!(text(&mut body).await, "a");
    }
    ends(&mut body, MS).await;
}

#[tokio::test(start_paused = true)]
async fn after_the_error_the_inner_body_is_dropped_and_this_one_has_ended() {
    let (fill, mut body) = idle(10 * MS);
    assert!(!fill.is_dropped() && !body.is_end_stream());
    ends(&mut body, 10 * MS).await;
    assert!(fill.is_dropped());
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    fill.data("late");
    assert!(body.frame().await.is_none());
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn frames_trailers_errors_hints_and_the_end_pass() {
    let (fill, mut body) = idle(10 * MS);
    fill.data("a").fail();
    assert_eq!(body.size_hint().lower(), 2);
    assert_eq!(text(&mut body).await, "a");
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Fault::Broken(1)));
    fill.trailers().end();
    assert!(body.frame().await.unwrap().unwrap().is_trailers());
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
    let sized = TimeoutBody::new(Full::new(Bytes::from_static(b"abc"))).idle(MS);
    assert_eq!((sized.size_hint().exact(), sized.is_end_stream()), (Some(3), false));
}

#[test]
fn a_timer_is_made_only_when_the_body_is_pending() {
    let timeless = tokio::runtime::Builder::new_current_thread().build().unwrap();
    timeless.block_on(async {
        let (fill, body) = pipe();
        let mut body = Box::pin(TimeoutBody::new(body).idle(9 * MS).total(9000 * MS));
        fill.data("a").data("b");
        assert_eq!(text(&mut body).await, "a");
        assert_eq!(text(&mut body).await, "b");
        // There is no time driver here, as whoever does make a timer finds out.
        panics(|| drop(poll(&mut body)));
        // Without a limit there is none to make.
        let (_fill, body) = pipe();
        assert!(poll(&mut Box::pin(TimeoutBody::new(body))).is_pending());
    });
}

#[tokio::test(start_paused = true)]
async fn whoever_polled_last_is_woken_by_frames_and_by_the_timer() {
    let (fill, mut body) = idle(10 * MS);
    let (first, last) = (Hand::new(), Hand::new());
    for hand in [&first, &last] {
        assert!(hand.poll(&mut body.frame()).is_pending());
    }
    fill.data("a");
    assert!(last.woken() > 0);
    assert_eq!(text(&mut body).await, "a");
    for hand in [&first, &last] {
        assert!(hand.poll(&mut body.frame()).is_pending());
    }
    first.woken();
    advance(11 * MS).await;
    assert!(last.woken() > 0);
    let Poll::Ready(end) = last.poll(&mut body.frame()) else { panic!("its time is over") };
    refusal(end);
}

/// A timer that an earlier wait has left goes off in a later one, and is only set again.
#[tokio::test(start_paused = true)]
async fn a_timer_of_an_earlier_wait_ends_no_later_one() {
    let (fill, mut body) = idle(10 * MS);
    let hand = Hand::new();
    assert!(hand.poll(&mut body.frame()).is_pending());
    advance(8 * MS).await;
    fill.data("a");
    assert_eq!(text(&mut body).await, "a");
    for _ in 0..9 {
        assert!(hand.poll(&mut body.frame()).is_pending());
        advance(MS).await;
    }
    hand.woken();
    advance(2 * MS).await;
    assert!(hand.woken() > 0, "it has been set again");
    assert!(hand.poll(&mut body.frame()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn the_longest_durations_are_no_error() {
    let (fill, body) = pipe();
    let mut body = Box::pin(TimeoutBody::new(body).idle(Duration::MAX).total(Duration::MAX));
    assert!(poll(&mut body).is_pending());
    advance(Duration::from_secs(1_000_000)).await;
    assert!(poll(&mut body).is_pending());
    fill.data("a");
    assert_eq!(text(&mut body).await, "a");
}
