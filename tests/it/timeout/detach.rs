//! `detach`: calls that are not cut when nobody waits for them any more.

use std::time::Duration;

use buttress::timeout::TimeoutLayer;
use buttress::{Reason, Rejected};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, service_fn};

use super::{MS, assert_on_time};
use crate::support::{Ask, Mock, call, panics, poll_once, refusal};

#[tokio::test(start_paused = true)]
async fn a_call_whose_time_is_over_runs_on() {
    let mock = Mock::new();
    let watch = mock.watch();
    let layer = TimeoutLayer::builder(5 * MS).detach(2).build();
    let mut service = layer.layer(mock);
    let start = Instant::now();
    let refused = refusal(call(&mut service, Ask::After(90 * MS, 1)).await);
    assert_eq!((refused.reason(), refused.was_dispatched()), (Reason::TimedOut, true));
    assert_on_time(start.elapsed(), 5 * MS);
    assert_eq!((layer.handle().running(), watch.replies()), (1, 1));
    sleep(80 * MS).await;
    assert_eq!((layer.handle().running(), watch.replies()), (1, 1));
    sleep(10 * MS).await;
    assert_eq!((layer.handle().running(), watch.replies()), (0, 0), "it came to its end");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_caller_has_gone_runs_on() {
    let mock = Mock::new();
    let watch = mock.watch();
    let layer = TimeoutLayer::builder(900 * MS).detach(2).build();
    let mut service = layer.layer(mock);
    let mut polled = call(&mut service, Ask::After(50 * MS, 1));
    assert!(poll_once(&mut polled).is_pending());
    drop(polled);
    assert_eq!((layer.handle().running(), watch.replies()), (1, 1));
    assert_eq!(layer.handle().drain(60 * MS).await.running, 0);
    assert_eq!(watch.replies(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_in_time_is_not_detached() {
    let layer = TimeoutLayer::builder(50 * MS).detach(1).build();
    let mut service = layer.layer(Mock::new());
    for ask in [Ask::Answer(1), Ask::After(9 * MS, 1), Ask::Fail(1)] {
        drop(call(&mut service, ask).await);
        assert_eq!(layer.handle().running(), 0);
    }
    // Its place is still there for one that does need it.
    refusal(call(&mut service, Ask::Hold).await);
    assert_eq!(layer.handle().running(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limit_run_on_and_those_beyond_are_dropped() {
    let mock = Mock::new();
    let watch = mock.watch();
    let layer = TimeoutLayer::builder(5 * MS).detach(3).build();
    let mut service = layer.layer(mock);
    for n in 1..=5 {
        refusal(call(&mut service, Ask::After(500 * MS, 1)).await);
        assert_eq!(layer.handle().running(), n.min(3));
        assert_eq!(watch.replies(), n.min(3));
    }
    assert_eq!(layer.handle().drain(900 * MS).await.running, 0);
    refusal(call(&mut service, Ask::After(500 * MS, 1)).await);
    assert_eq!(layer.handle().running(), 1, "those that ended made room");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_detached_call_is_counted_and_is_a_panic() {
    let layer = TimeoutLayer::builder(5 * MS).detach(2).build();
    let mut service = layer.layer(service_fn(async |_: Ask| -> Result<u32, Rejected> {
        sleep(50 * MS).await;
        panic!("as the test wants: when nobody waits");
    }));
    let hook = std::panic::take_hook();
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = seen.clone();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str().is_some_and(|text| text.ends_with("when nobody waits")) {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        } else {
            hook(info);
        }
    }));
    call(&mut service, Ask::Hold).await.unwrap_err();
    let drained = layer.handle().drain(900 * MS).await;
    assert_eq!((drained.running, drained.panicked, layer.handle().panicked()), (0, 1, 1));
    assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 1, "the panic hook has seen it");
    call(&mut service, Ask::Hold).await.unwrap_err();
    assert_eq!(layer.handle().drain(900 * MS).await.panicked, 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_the_caller_waits_is_the_callers() {
    let layer = TimeoutLayer::builder(5 * MS).detach(2).build();
    let mut service = layer.layer(Mock::new());
    for ask in [Ask::PanicInCall, Ask::PanicInPoll] {
        panics(|| drop(poll_once(&mut call(&mut service, ask))));
        assert_eq!((layer.handle().running(), layer.handle().panicked()), (0, 0), "{ask:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn drain_waits_until_none_runs_but_no_longer_than_told() {
    let layer = TimeoutLayer::builder(5 * MS).detach(3).build();
    let handle = layer.handle();
    let mut service = layer.layer(Mock::new());
    let start = Instant::now();
    assert_eq!(handle.drain(Duration::MAX).await.running, 0);
    assert_eq!(start.elapsed(), Duration::ZERO, "nothing to wait for");

    drop(call(&mut service, Ask::After(30 * MS, 1)));
    drop(call(&mut service, Ask::After(60 * MS, 1)));
    assert_eq!(handle.drain(40 * MS).await.running, 1);
    assert_on_time(start.elapsed(), 40 * MS);
    assert_eq!(handle.drain(Duration::MAX).await.running, 0);
    assert_on_time(start.elapsed(), 60 * MS);
}

#[tokio::test(start_paused = true)]
async fn drain_is_cancel_safe() {
    let layer = TimeoutLayer::builder(5 * MS).detach(3).build();
    drop(call(&mut layer.layer(Mock::new()), Ask::After(30 * MS, 1)));
    let mut drain = Box::pin(async { layer.handle().drain(900 * MS).await });
    assert!(poll_once(&mut drain).is_pending());
    drop(drain);
    advance(MS).await;
    assert_eq!(layer.handle().drain(900 * MS).await.running, 0);
}

#[test]
fn outside_of_a_runtime_there_is_nobody_to_run_it() {
    let mock = Mock::new();
    let watch = mock.watch();
    let layer = TimeoutLayer::builder(5 * MS).detach(3).build();
    let future = call(&mut layer.layer(mock), Ask::Hold);
    drop(future);
    assert_eq!((layer.handle().running(), watch.replies()), (0, 0));
}

#[test]
fn a_runtime_that_is_shut_down_leaves_no_call_counted() {
    let layer = TimeoutLayer::builder(5 * MS).detach(3).build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { drop(call(&mut layer.layer(Mock::new()), Ask::Hold)) });
    assert_eq!(layer.handle().running(), 1);
    drop(runtime);
    assert_eq!((layer.handle().running(), layer.handle().panicked()), (0, 0));
}
