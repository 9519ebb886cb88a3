//! Calls that are dropped, at every point, and inner services that panic.

use buttress::load_shed::LoadShedLayer;
use tokio::time::{advance, sleep};
use tower::Layer;
use tower::limit::ConcurrencyLimit;

use super::MS;
use crate::support::{Ask, Hand, Ledger, Mock, call, panics, poll_once};

#[tokio::test(start_paused = true)]
async fn whoever_leaves_the_line_hands_the_turn_on() {
    let mock = Mock::new();
    let watch = mock.watch();
    let ledger = Ledger::default();
    let layer = LoadShedLayer::builder().queue(9).observe(ledger.clone()).build();
    let service = layer.layer(mock);
    watch.stall();
    let wait = |n| call(&mut service.clone(), Ask::Answer(n));
    let (hand, other) = (Hand::new(), Hand::new());
    let (unpolled, mut first, mut second, mut third) = (wait(0), wait(1), wait(2), wait(3));
    assert!(hand.poll(&mut first).is_pending());
    assert!(hand.poll(&mut second).is_pending() && other.poll(&mut third).is_pending());
    drop(unpolled);
    assert_eq!(hand.woken(), 1, "the first has the turn");
    assert!(hand.poll(&mut first).is_pending());
    drop(second);
    assert_eq!((hand.woken(), other.woken()), (0, 0), "from the middle");
    drop(first);
    assert_eq!(other.woken(), 1);
    assert!(other.poll(&mut third).is_pending());
    watch.unstall();
    assert_eq!(other.woken(), 1);
    assert_eq!(third.await.unwrap(), 3);
    assert_eq!((layer.handle().queued(), watch.alive()), (0, 1));
    ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn dropped_at_every_point_a_call_leaves_nothing_behind() {
    for moment in 0..120 {
        let ledger = Ledger::default();
        let layer = LoadShedLayer::builder()
            .queue_delay(5 * MS, 50 * MS)
            .fail_fast(80 * MS)
            .observe(ledger.clone())
            .build();
        let mock = Mock::new();
        let watch = mock.watch();
        let service = layer.layer(ConcurrencyLimit::new(mock, 1));
        let calls: Vec<_> = (0..8)
            .map(|n| {
                let mut service = service.clone();
                tokio::spawn(async move {
                    sleep(n * 7 * MS).await;
                    let _ = call(&mut service, Ask::After(20 * MS, n)).await;
                })
            })
            .collect();
        sleep(moment * MS).await;
        calls.iter().for_each(tokio::task::JoinHandle::abort);
        for call in calls {
            let _ = call.await;
        }
        ledger.assert_settled();
        assert_eq!((layer.handle().queued(), watch.replies()), (0, 0), "at {moment} ms");
        call(&mut service.clone(), Ask::Answer(1)).await.unwrap();
        drop((service, layer));
        assert_eq!((watch.alive(), ledger.holders()), (0, 1), "at {moment} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_inner_service_leaves_nothing_behind() {
    let mock = Mock::new();
    let watch = mock.watch();
    let ledger = Ledger::default();
    let layer = LoadShedLayer::builder().queue(9).observe(ledger.clone()).build();
    let service = layer.layer(mock);
    watch.stall();
    let mut in_call = call(&mut service.clone(), Ask::PanicInCall);
    let mut in_poll = call(&mut service.clone(), Ask::PanicInPoll);
    let mut in_readiness = call(&mut service.clone(), Ask::Answer(1));
    let mut last = call(&mut service.clone(), Ask::Answer(4));
    for call in [&mut in_call, &mut in_poll, &mut in_readiness, &mut last] {
        assert!(poll_once(call).is_pending());
    }
    watch.unstall();
    panics(|| drop(poll_once(&mut { in_call })));
    panics(|| drop(poll_once(&mut { in_poll })));
    watch.panic_in_readiness();
    panics(|| drop(poll_once(&mut { in_readiness })));
    watch.unstall();
    assert_eq!(last.await.unwrap(), 4);
    ledger.assert_settled();
    assert_eq!((layer.handle().queued(), watch.replies()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_goes_leaves_its_calls_running() {
    let mock = Mock::new();
    let watch = mock.watch();
    let layer = LoadShedLayer::builder().queue(9).build();
    let mut service = layer.layer(mock);
    watch.stall();
    let mut waiting = call(&mut service, Ask::Answer(4));
    assert!(poll_once(&mut waiting).is_pending());
    drop((service, layer));
    advance(MS).await;
    watch.unstall();
    assert_eq!(waiting.await.unwrap(), 4);
}
