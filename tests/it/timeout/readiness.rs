//! `also_readiness`: the wait for the inner service counts too.

use std::task::Poll;

use buttress::Reason;
use buttress::timeout::{Timeout, TimeoutLayer};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt};

use super::{MS, assert_on_time};
use crate::support::{Ask, Hand, Mock, Watch, call, ready, refusal};

/// Over an inner service that is not ready.
fn stalled() -> (Timeout<Mock>, Watch) {
    let mock = Mock::new();
    let watch = mock.watch();
    watch.stall();
    let layer = TimeoutLayer::builder(50 * MS).name("db").also_readiness().build();
    (layer.layer(mock), watch)
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_and_the_call_share_one_limit() {
    for (waited, takes, in_time) in [(30, 19, true), (30, 21, false), (0, 49, true), (49, 2, false)]
    {
        let (mut service, watch) = stalled();
        assert!(Hand::new().poll_ready(&mut service).is_pending());
        advance(waited * MS).await;
        watch.unstall();
        let outcome = call(&mut service, Ask::After(takes * MS, 1)).await;
        assert_eq!(outcome.is_ok(), in_time, "{waited} ms and {takes} ms of 50 ms");
        // The next call starts anew.
        assert_eq!(call(&mut service, Ask::After(49 * MS, 2)).await, Ok(2));
    }
}

#[tokio::test(start_paused = true)]
async fn without_it_waiting_for_readiness_is_free() {
    let mock = Mock::new();
    let watch = mock.watch();
    watch.stall();
    let mut service = TimeoutLayer::new(50 * MS).layer(mock);
    let hand = Hand::new();
    assert!(hand.poll_ready(&mut service).is_pending());
    advance(900 * MS).await;
    assert!(hand.poll_ready(&mut service).is_pending());
    watch.unstall();
    assert_eq!(call(&mut service, Ask::After(49 * MS, 1)).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_readiness_that_takes_too_long_is_answered_by_call_and_not_by_poll_ready() {
    let (mut service, watch) = stalled();
    for _ in 0..3 {
        let start = Instant::now();
        service.ready().await.expect("an error here would be the death of the service");
        assert_on_time(start.elapsed(), 50 * MS);
        let refused = refusal(service.call(Ask::Answer(1)).await);
        assert_eq!((refused.reason(), refused.name()), (Reason::TimedOut, Some("db")));
        assert!(!refused.was_dispatched(), "the inner service has not seen it");
    }
    assert!(watch.called().is_empty());
    watch.unstall();
    assert_eq!(call(&mut service, Ask::After(49 * MS, 1)).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_readiness_that_was_too_late_stays_so_until_the_call() {
    let (mut service, watch) = stalled();
    service.ready().await.unwrap();
    watch.unstall();
    advance(900 * MS).await;
    ready(&mut service);
    assert_eq!(refusal(service.call(Ask::Answer(1)).await).reason(), Reason::TimedOut);
    assert!(watch.called().is_empty(), "the inner service was never made ready");
    assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_readiness_in_the_same_poll_as_the_timer_wins() {
    let (mut service, watch) = stalled();
    let hand = Hand::new();
    assert!(hand.poll_ready(&mut service).is_pending());
    advance(50 * MS).await;
    assert!(hand.woken() > 0);
    watch.unstall();
    ready(&mut service);
    drop(service.call(Ask::Answer(1)));
    assert_eq!(watch.called().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_given_up_is_not_charged_to_who_comes_later() {
    // The service is ready by the time the next one comes.
    let (mut service, watch) = stalled();
    assert!(Hand::new().poll_ready(&mut service).is_pending());
    advance(900 * MS).await;
    watch.unstall();
    assert_eq!(call(&mut service, Ask::After(49 * MS, 1)).await, Ok(1));

    // It is not, and has the whole limit to become so.
    let (mut service, watch) = stalled();
    assert!(Hand::new().poll_ready(&mut service).is_pending());
    advance(900 * MS).await;
    let hand = Hand::new();
    assert!(hand.poll_ready(&mut service).is_pending());
    advance(40 * MS).await;
    watch.unstall();
    assert!(hand.woken() > 0);
    assert_eq!(call(&mut service, Ask::After(9 * MS, 1)).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_goes_on_ends_even_if_it_is_polled_late() {
    let (mut service, _watch) = stalled();
    let hand = Hand::new();
    assert!(hand.poll_ready(&mut service).is_pending());
    // The thread was busy elsewhere for a while after the timer.
    advance(53 * MS).await;
    assert!(hand.woken() > 0);
    assert!(matches!(hand.poll_ready(&mut service), Poll::Ready(Ok(()))));
    assert_eq!(refusal(service.call(Ask::Answer(1)).await).reason(), Reason::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_clone_waits_for_itself() {
    let (mut service, _watch) = stalled();
    assert!(Hand::new().poll_ready(&mut service).is_pending());
    advance(40 * MS).await;
    let start = Instant::now();
    let mut clone = service.clone();
    clone.ready().await.unwrap();
    assert_on_time(start.elapsed(), 50 * MS);
}

#[test]
fn a_service_that_is_ready_at_once_needs_no_time_driver() {
    let timeless = tokio::runtime::Builder::new_current_thread().build().unwrap();
    timeless.block_on(async {
        let layer = TimeoutLayer::builder(50 * MS).also_readiness().build();
        assert_eq!(call(&mut layer.layer(Mock::new()), Ask::Answer(1)).await, Ok(1));
    });
}
