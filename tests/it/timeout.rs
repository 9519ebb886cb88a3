//! The timeout, sentence by sentence of what it promises. See `tests/SPEC.md`.

mod arriving;
mod attempts;
mod deadlines;
mod detach;
mod propagate;
mod readiness;
mod reports;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use buttress::Reason;
use buttress::timeout::{Deadline, TimeoutLayer};
use tokio::time::{Instant, advance};
use tower::Layer;

use crate::support::{Ask, Hand, Mock, call, panics, poll_once, refusal};

const MS: Duration = Duration::from_millis(1);
const US: Duration = Duration::from_micros(1);

/// A limit, and up to how late it may be: the clock of the timers ticks once a millisecond.
#[track_caller]
fn assert_on_time(taken: Duration, limit: Duration) {
    assert!(taken >= limit, "early: {taken:?} of {limit:?}");
    assert!(taken <= limit + MS, "late: {taken:?} of {limit:?}");
}

#[tokio::test(start_paused = true)]
async fn the_response_future_is_bounded() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = TimeoutLayer::builder(50 * MS).name("db").build().layer(mock);
    for _ in 0..3 {
        let refused = refusal(call(&mut service, Ask::Hold).await);
        assert_eq!((refused.reason(), refused.name()), (Reason::TimedOut, Some("db")));
        assert!(refused.was_dispatched(), "the service may have acted");
        assert_eq!(call(&mut service, Ask::After(49 * MS, 1)).await, Ok(1));
    }
    assert_eq!(watch.called().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_never_early_and_at_most_1_ms_late() {
    for limit in [US, 999 * US, MS, 1001 * US, 1500 * US, 50 * MS, 2 * 60 * 60 * 1000 * MS] {
        let start = Instant::now();
        let mut service = TimeoutLayer::new(limit).layer(Mock::new());
        assert_eq!(refusal(call(&mut service, Ask::Hold).await).reason(), Reason::TimedOut);
        assert_on_time(start.elapsed(), limit);
    }
}

#[tokio::test(start_paused = true)]
async fn nor_is_it_between_the_ticks_of_the_clock() {
    for begin in [37 * US, 300 * US, 500 * US, 963 * US] {
        for limit in [US, 400 * US, 999 * US, MS, 1001 * US, 2500 * US] {
            advance(begin).await;
            let mut service = TimeoutLayer::new(limit).layer(Mock::new());
            let (mut future, hand) = (call(&mut service, Ask::Hold), Hand::new());
            let start = Instant::now();
            assert!(hand.poll(&mut future).is_pending());
            // In small steps: left alone, a paused clock leaps by whole milliseconds.
            while hand.woken() == 0 {
                assert!(hand.poll(&mut future).is_pending());
                advance(50 * US).await;
            }
            assert!(hand.poll(&mut future).is_ready());
            let taken = start.elapsed();
            assert!(taken >= limit && taken < limit + MS + 50 * US, "{taken:?} of {limit:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_ready_in_the_same_poll_as_the_timer_wins() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = TimeoutLayer::new(5 * MS).layer(mock);
    let mut future = call(&mut service, Ask::Hold);
    assert!(poll_once(&mut future).is_pending());
    advance(90 * MS).await;
    watch.let_go();
    assert_eq!(poll_once(&mut future), Poll::Ready(Ok(0)));
}

#[test]
fn the_timer_is_made_only_when_the_inner_future_is_first_pending() {
    let timeless = tokio::runtime::Builder::new_current_thread().build().unwrap();
    timeless.block_on(async {
        let mut service = TimeoutLayer::new(5 * MS).layer(Mock::new());
        assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
        call(&mut service, Ask::Fail(1)).await.unwrap_err();
        let deadline = Some(Deadline::after(900 * MS));
        let layer = TimeoutLayer::builder(5 * MS).deadline(move |_: &Ask| deadline).build();
        assert_eq!(call(&mut layer.layer(Mock::new()), Ask::Answer(1)).await, Ok(1));
        // There is no time driver here, as whoever does make a timer finds out.
        let mut pending = call(&mut service, Ask::Hold);
        panics(|| drop(poll_once(&mut pending)));
    });
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_from_the_first_poll_that_finds_the_inner_future_pending() {
    let mut service = TimeoutLayer::new(5 * MS).layer(Mock::new());
    let future = call(&mut service, Ask::Hold);
    advance(90 * MS).await;
    let start = Instant::now();
    assert_eq!(refusal(future.await).reason(), Reason::TimedOut);
    assert_on_time(start.elapsed(), 5 * MS);
}

#[tokio::test(start_paused = true)]
async fn the_inner_future_is_dropped_at_once_when_the_time_is_over() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = TimeoutLayer::new(5 * MS).layer(mock);
    let mut future = call(&mut service, Ask::Hold);
    let outcome = poll_fn(|cx| future.as_mut().poll(cx)).await;
    assert_eq!(refusal(outcome).reason(), Reason::TimedOut);
    assert_eq!(watch.replies(), 0, "although the answer is still in somebody's hands");
    drop(future);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_response_future_drops_the_inner_one() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = TimeoutLayer::new(5 * MS).layer(mock);
    for polls in 0..3 {
        let mut future = call(&mut service, Ask::Hold);
        for _ in 0..polls {
            assert!(poll_once(&mut future).is_pending());
        }
        assert_eq!(watch.replies(), 1);
        drop(future);
        assert_eq!(watch.replies(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn per_request_chooses_by_request() {
    let layer = TimeoutLayer::builder(50 * MS)
        .per_request(|ask: &Ask| match ask {
            Ask::After(took, _) => *took + 10 * MS,
            Ask::Pend(_) => Duration::ZERO,
            _ => 7 * MS,
        })
        .build();
    let mut service = layer.layer(Mock::new());
    assert_eq!(call(&mut service, Ask::After(900 * MS, 1)).await, Ok(1), "longer than for all");
    let start = Instant::now();
    assert_eq!(refusal(call(&mut service, Ask::Hold).await).reason(), Reason::TimedOut);
    assert_on_time(start.elapsed(), 7 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_0_for_a_request_ends_a_call_that_is_not_ready_at_once() {
    let layer = TimeoutLayer::builder(50 * MS).per_request(|_: &Ask| Duration::ZERO).build();
    let mut service = layer.layer(Mock::new());
    assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
    let start = Instant::now();
    assert_eq!(refusal(call(&mut service, Ask::Hold).await).reason(), Reason::TimedOut);
    assert_on_time(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_longest_duration_is_no_error() {
    let layer = TimeoutLayer::builder(Duration::MAX).per_request(|_: &Ask| Duration::MAX).build();
    for mut service in [layer.layer(Mock::new()), layer.clone().layer(Mock::new())] {
        assert_eq!(call(&mut service, Ask::After(900 * MS, 1)).await, Ok(1));
    }
    let mut service = TimeoutLayer::new(Duration::MAX).layer(Mock::new());
    assert_eq!(call(&mut service, Ask::After(900 * MS, 1)).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_inside_a_timeout_is_the_one_that_ends_the_call() {
    let inner = TimeoutLayer::builder(20 * MS).name("attempt").build().layer(Mock::new());
    let mut outer = TimeoutLayer::builder(50 * MS).name("total").build().layer(inner);
    let refused = refusal(call(&mut outer, Ask::Hold).await);
    assert_eq!(refused.name(), Some("attempt"));
}
