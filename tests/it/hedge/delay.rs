//! The delay that is learnt from the latencies.

use tokio::time::advance;

use super::*;
use crate::support::{call, poll_once};

/// Every second attempt passes: what is tried here is the delay.
fn learning(second: Option<Ask>) -> Rig {
    let plan = Plan { second, ..Plan::default() };
    Rig::with(plan, |builder| {
        builder.delay(Delay::default()).budget(Budget::in_flight(0.0001).at_least(1000))
    })
}

fn delay(rig: &Rig) -> Option<Duration> {
    rig.layer.handle().delay()
}

/// That many calls, one after the other, each of which takes that long.
async fn calls(rig: &mut Rig, count: u32, latency: Duration) {
    for _ in 0..count {
        call(&mut rig.service, Ask::After(latency, 1)).await.unwrap();
    }
}

/// The delay is an upper bound of the percentile, and too long by 1/16 at most.
#[track_caller]
fn assert_about(delay: Option<Duration>, percentile: Duration) {
    let delay = delay.expect("it is warm");
    assert!(percentile < delay && delay <= percentile * 17 / 16, "{delay:?} for {percentile:?}");
}

#[tokio::test(start_paused = true)]
async fn before_a_hundred_latencies_are_known_nothing_is_hedged() {
    let mut rig = learning(Some(Ask::Answer(2)));
    for known in 0..100 {
        assert_eq!(delay(&rig), None, "{known}");
        if known % 33 == 0 {
            let mut held = call(&mut rig.service, Ask::Hold);
            assert!(poll_once(&mut held).is_pending());
            advance(30 * SECOND / 100).await;
            assert!(poll_once(&mut held).is_pending());
            drop(held);
        }
        // Nor after a failure.
        let outcome = call(&mut rig.service, Ask::FailAfter(10 * MS, 7)).await;
        assert_eq!(outcome, Err(Fault::Broken(7)));
    }
    assert_eq!(rig.sent(), 104);
    assert_about(delay(&rig), 10 * MS);
    assert_eq!(call(&mut rig.service, Ask::Fail(7)).await, Ok(2));
    assert_eq!(call(&mut rig.service, Ask::Hold).await, Ok(2));
    assert_eq!(rig.sent(), 108);
}

#[tokio::test(start_paused = true)]
async fn while_it_is_cold_nothing_is_kept_for_a_second_attempt() {
    let mut rig = learning(Some(Ask::Answer(2)));
    let future = call(&mut rig.service, Ask::Hold);
    assert_eq!(rig.watch.instances(), 1);
    assert_eq!(rig.plan.asked(), ["prepare", "1 of 1"]);
    drop(future);
}

#[tokio::test(start_paused = true)]
async fn it_learns_from_requests_that_are_never_sent_twice_and_without_observers_too() {
    let layer = HedgeLayer::new(Plan::default());
    let mut service = layer.layer(Mock::new());
    for _ in 0..100 {
        call(&mut service, Ask::After(10 * MS, 1)).await.unwrap();
    }
    assert_about(layer.handle().delay(), 10 * MS);
}

#[tokio::test(start_paused = true)]
async fn the_delay_is_the_percentile_of_the_latencies_the_95th_by_default() {
    for (share, expected) in [(None, 10), (Some(0.96), 100), (Some(0.5), 10), (Some(0.999), 100)] {
        let mut rig = Rig::with(Plan::default(), |builder| {
            builder.delay(share.map_or(Delay::default(), Delay::Percentile))
        });
        calls(&mut rig, 95, 10 * MS).await;
        calls(&mut rig, 5, 100 * MS).await;
        assert_about(delay(&rig), expected * MS);
    }
}

#[tokio::test(start_paused = true)]
async fn first_attempts_that_were_superseded_count_with_the_time_they_had() {
    let mut rig = learning(Some(Ask::After(50 * MS, 2)));
    calls(&mut rig, 100, 10 * MS).await;
    assert_about(delay(&rig), 10 * MS);
    for _ in 0..50 {
        assert_eq!(call(&mut rig.service, Ask::Hold).await, Ok(2));
    }
    // 11 ms until the second attempt, and 50 ms with it.
    assert_about(delay(&rig), 61 * MS);
}

#[tokio::test(start_paused = true)]
async fn first_attempts_that_failed_count_and_second_attempts_do_not() {
    // 20 ms until the first attempt fails, and 70 more until the second answers.
    let mut rig = learning(Some(Ask::After(70 * MS, 2)));
    calls(&mut rig, 100, 20 * MS).await;
    for _ in 0..100 {
        call(&mut rig.service, Ask::FailAfter(20 * MS, 7)).await.unwrap();
    }
    assert_eq!(rig.sent(), 300);
    assert_about(delay(&rig), 20 * MS);
    // Failures without a second attempt.
    let mut rig = learning(None);
    for _ in 0..100 {
        call(&mut rig.service, Ask::FailAfter(30 * MS, BUSY)).await.unwrap_err();
    }
    assert_about(delay(&rig), 30 * MS);
}

#[tokio::test(start_paused = true)]
async fn abandoned_calls_and_refusals_on_this_side_do_not_count() {
    let mut rig = learning(None);
    calls(&mut rig, 100, 10 * MS).await;
    for n in 0..500 {
        let mut dropped = call(&mut rig.service, Ask::Hold);
        assert!(poll_once(&mut dropped).is_pending());
        if n < 100 {
            advance(100 * MS).await;
        }
        drop(dropped);
        let refuse = Ask::Refuse(Reason::BulkheadFull);
        call(&mut rig.service, refuse).await.unwrap_err();
    }
    assert_about(delay(&rig), 10 * MS);
    let mut rig = learning(None);
    for _ in 0..500 {
        call(&mut rig.service, Ask::Refuse(Reason::BulkheadFull)).await.unwrap_err();
    }
    assert_eq!(delay(&rig), None);
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_ready_at_once_count_with_no_time_at_all() {
    let mut rig = learning(Some(Ask::Answer(2)));
    calls(&mut rig, 100, 10 * MS).await;
    for _ in 0..1900 {
        call(&mut rig.service, Ask::Answer(1)).await.unwrap();
    }
    // 95 % of them: the others are slow by comparison.
    assert_eq!(delay(&rig), Some(Duration::from_micros(1)));
    assert_eq!(call(&mut rig.service, Ask::Hold).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_are_a_hundred_in_whatever_order_those_ready_at_once_come() {
    for (first, zeros) in [(0, 100), (0, 60), (40, 60), (70, 30), (99, 1), (10, 20)] {
        // Without observers: with them, no call is free of clock reads.
        let layer = HedgeLayer::new(Plan::default());
        let mut service = layer.layer(Mock::new());
        for known in 0..100 {
            assert_eq!(layer.handle().delay(), None, "{known} of {first}, {zeros}");
            let at_once = (first..first + zeros).contains(&known);
            let ask = if at_once { Ask::Answer(1) } else { Ask::After(10 * MS, 1) };
            call(&mut service, ask).await.unwrap();
        }
        assert!(layer.handle().delay().is_some(), "{first}, {zeros}");
    }
}

#[tokio::test(start_paused = true)]
async fn latencies_older_than_the_window_are_forgotten() {
    let mut rig = learning(Some(Ask::Answer(2)));
    calls(&mut rig, 100, 10 * MS).await;
    advance(29 * SECOND).await;
    assert_about(delay(&rig), 10 * MS);
    // The second half of the window, in which there are none.
    advance(29 * SECOND).await;
    assert_about(delay(&rig), 10 * MS);
    advance(SECOND).await;
    // Nobody has asked since; the call itself finds out.
    let mut held = call(&mut rig.service, Ask::Hold);
    assert!(poll_once(&mut held).is_pending());
    advance(SECOND).await;
    assert!(poll_once(&mut held).is_pending());
    assert_eq!((rig.sent(), delay(&rig)), (101, None));
    assert_eq!(rig.watch.alive(), 1, "what was kept is let go");
    // From there on it takes a hundred again.
    drop(held);
    calls(&mut rig, 99, 10 * MS).await;
    assert_eq!(delay(&rig), None);
    calls(&mut rig, 1, 10 * MS).await;
    assert_about(delay(&rig), 10 * MS);
}

#[tokio::test(start_paused = true)]
async fn after_a_long_time_of_health_it_learns_within_a_window_that_all_has_become_slow() {
    let window = 20 * SECOND;
    let mut rig =
        Rig::with(Plan::default(), |builder| builder.delay(Delay::default()).window(window));
    // Ten windows.
    calls(&mut rig, 20_000, 10 * MS).await;
    assert_about(delay(&rig), 10 * MS);
    calls(&mut rig, 200, 100 * MS).await;
    assert_about(delay(&rig), 100 * MS);
    // And that it is fast again.
    calls(&mut rig, 2000, 10 * MS).await;
    assert_about(delay(&rig), 10 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_delay_needs_no_warm_up() {
    let mut rig = Rig::second(Ask::Answer(2));
    assert_eq!(delay(&rig), Some(10 * MS));
    assert_eq!(call(&mut rig.service, Ask::Hold).await, Ok(2));
    calls(&mut rig, 5, 5 * MS).await;
    advance(3600 * SECOND).await;
    assert_eq!(delay(&rig), Some(10 * MS));
}

#[tokio::test(start_paused = true)]
async fn the_latencies_of_all_services_of_a_layer_value_are_one() {
    let mut rig = learning(None);
    calls(&mut rig, 50, 10 * MS).await;
    let mut others = [rig.layer.layer(Mock::new()), rig.layer.clone().layer(Mock::new())];
    for other in &mut others {
        for _ in 0..25 {
            assert_eq!(delay(&rig), None);
            call(other, Ask::After(10 * MS, 1)).await.unwrap();
        }
    }
    assert_about(delay(&rig), 10 * MS);
}

#[tokio::test(start_paused = true)]
async fn the_delay_counts_from_the_first_poll_whether_anybody_watches_or_not() {
    let watched = Rig::second(Ask::Answer(2));
    let layer = HedgeLayer::builder(Plan::second(Ask::Answer(2))).delay(Delay::Fixed(10 * MS));
    let mock = Mock::new();
    let unwatched = (mock.watch(), layer.build().layer(mock));
    for (watch, mut service) in [(watched.watch, watched.service), unwatched] {
        let mut future = call(&mut service, Ask::Hold);
        // Whoever called is busy, and the first attempt has not begun.
        advance(SECOND).await;
        for sent in [1, 1, 2] {
            let _ = poll_once(&mut future);
            assert_eq!(watch.called().len(), sent);
            advance(6 * MS).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_measured_is_the_same_whether_anybody_watches_or_not() {
    let mut rig = learning(None);
    for _ in 0..100 {
        let mut future = call(&mut rig.service, Ask::Pend(1));
        advance(50 * MS).await;
        assert!(poll_once(&mut future).is_pending());
        advance(10 * MS).await;
        assert_eq!(poll_once(&mut future), std::task::Poll::Ready(Ok(1)));
    }
    assert_about(delay(&rig), 10 * MS);
}
