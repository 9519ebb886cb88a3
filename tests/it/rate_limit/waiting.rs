//! Calls that wait for their turn.

use std::sync::Arc;
use std::time::Duration;

use buttress::Reason;
use buttress::observe::EventKind::{Abandoned, Admitted, Queued, Rejected};
use buttress::rate_limit::{Queue, RateLimitLayer, Whole};
use buttress::timeout::Deadline;
use tokio::sync::Semaphore;
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt};

use super::{HOUR, MS, SECOND};
use crate::support::{
    Ask, Fault, Ledger, Mock, admitted, call, poll_once, ready, refusal, settled,
};

/// Ten calls a second, one at a time.
fn tenths() -> RateLimitLayer<Whole, Queue> {
    RateLimitLayer::builder().per_second(10).burst(1).max_wait(SECOND).build()
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_their_turns_in_the_order_in_which_they_came() {
    let mut service = tenths().layer(Mock::new());
    let start = Instant::now();
    let calls: Vec<_> = (0..5).map(|n| call(&mut service, Ask::Answer(n))).collect();
    for (n, waiting) in (0..).zip(calls) {
        assert_eq!(waiting.await, Ok(n));
        assert_eq!(start.elapsed(), n * 100 * MS);
    }
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_longer_is_refused_at_once_and_told_how_long() {
    let mut service = tenths().layer(Mock::new());
    let start = Instant::now();
    let waiting: Vec<_> = (0..11).map(|n| call(&mut service, Ask::Answer(n))).collect();
    let refused = refusal(call(&mut service, Ask::Answer(1)).await);
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::RateLimited, Some(1100 * MS)));
    assert_eq!(start.elapsed(), Duration::ZERO);
    for waiting in waiting {
        waiting.await.unwrap();
    }
    assert_eq!(start.elapsed(), SECOND, "max_wait itself is not too long");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_turn_after_the_deadline() {
    let layer = RateLimitLayer::builder()
        .per_second(10)
        .burst(1)
        .max_wait(HOUR)
        .deadline(|ask: &Ask| match ask {
            Ask::Answer(ms) => Some(Deadline::after(*ms * MS)),
            _ => None,
        })
        .build();
    let mut service = layer.layer(Mock::new());
    drop(call(&mut service, Ask::Hold));
    let start = Instant::now();
    for late in [0, 99, 100] {
        let refused = refusal(call(&mut service, Ask::Answer(late)).await);
        assert_eq!(
            (refused.reason(), refused.retry_after()),
            (Reason::RateLimited, Some(100 * MS))
        );
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(call(&mut service, Ask::Answer(102)).await, Ok(102));
    assert_eq!(start.elapsed(), 100 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_less_than_a_timers_grain_costs_no_rate() {
    let layer = RateLimitLayer::builder().per_second(10_000).burst(1).max_wait(SECOND).build();
    let mut service = layer.layer(Mock::new());
    let start = Instant::now();
    let calls: Vec<_> = (0..1_001).map(|n| call(&mut service, Ask::Answer(n))).collect();
    for waiting in calls {
        waiting.await.unwrap();
    }
    assert_eq!(start.elapsed(), 100 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_holds_none_of_the_inner_services_readiness() {
    let permits = Arc::new(Semaphore::new(1));
    let inner = tower::limit::ConcurrencyLimit::with_semaphore(Mock::new(), permits.clone());
    let mut service = tenths().layer(inner);
    call(&mut service, Ask::Answer(1)).await.unwrap();
    let waiting = call(&mut service, Ask::Answer(2));
    assert_eq!(permits.available_permits(), 1);
    assert_eq!(waiting.await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_the_inner_service_ends_in_time_too() {
    let permits = Arc::new(Semaphore::new(2));
    let inner = tower::limit::ConcurrencyLimit::with_semaphore(Mock::new(), permits.clone());
    for (left, reason, after) in [
        (None, Reason::QueueTimedOut, SECOND),
        (Some(300 * MS), Reason::DeadlineExceeded, 300 * MS),
    ] {
        let ledger = Ledger::default();
        let deadline = left.map(Deadline::after);
        let layer = RateLimitLayer::builder()
            .per_second(10)
            .burst(1)
            .max_wait(SECOND)
            .deadline(move |_: &Ask| deadline)
            .observe(ledger.clone())
            .build();
        let mut service = layer.layer(inner.clone());
        call(&mut service, Ask::Answer(1)).await.unwrap();
        let waiting = call(&mut service, Ask::Answer(2));
        let all = permits.clone().acquire_many_owned(2).await.unwrap();
        let start = Instant::now();
        let refused = refusal(waiting.await);
        assert_eq!((refused.reason(), refused.was_dispatched()), (reason, false));
        assert!((after..=after + MS).contains(&start.elapsed()), "{:?}", start.elapsed());
        let told = [admitted(), settled(buttress::Class::Success), Queued];
        let told = told.into_iter().chain([Admitted { waited: 100 * MS }, Rejected(reason)]);
        assert_eq!(ledger.take("rate_limit"), told.collect::<Vec<_>>());
        ledger.assert_settled();
        drop(all);
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_too_late_is_not_used() {
    let mock = Mock::new();
    let watch = mock.watch();
    let deadline = Deadline::after(150 * MS);
    let layer = RateLimitLayer::builder()
        .per_second(10)
        .burst(1)
        .max_wait(SECOND)
        .deadline(move |_: &Ask| Some(deadline))
        .build();
    let mut service = layer.layer(mock);
    call(&mut service, Ask::Answer(1)).await.unwrap();
    let mut waiting = call(&mut service, Ask::Answer(2));
    assert!(poll_once(&mut waiting).is_pending());
    // The task was not polled when its timer fired.
    advance(200 * MS).await;
    assert_eq!(refusal(waiting.await).reason(), Reason::DeadlineExceeded);
    assert_eq!(watch.called().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_in_line_gives_its_turn_back() {
    let ledger = Ledger::default();
    let layer = RateLimitLayer::builder()
        .per_second(10)
        .burst(1)
        .max_wait(SECOND)
        .observe(ledger.clone())
        .build();
    let mut service = layer.layer(Mock::new());
    call(&mut service, Ask::Answer(1)).await.unwrap();
    ledger.take("rate_limit");
    for polled in [false, true] {
        let mut waiting = call(&mut service, Ask::Answer(2));
        if polled {
            assert!(poll_once(&mut waiting).is_pending());
        }
        assert_eq!(layer.handle().wait(), 200 * MS);
        drop(waiting);
        assert_eq!(layer.handle().wait(), 100 * MS);
        assert_eq!(ledger.take("rate_limit"), [Queued, Abandoned]);
    }
    ledger.assert_settled();
    let start = Instant::now();
    assert_eq!(call(&mut service, Ask::Answer(3)).await, Ok(3));
    assert_eq!(start.elapsed(), 100 * MS, "with the turn of those who left");
}

#[tokio::test(start_paused = true)]
async fn a_turn_in_the_middle_of_the_line_passes_unused() {
    let layer = tenths();
    let mut service = layer.layer(Mock::new());
    call(&mut service, Ask::Answer(1)).await.unwrap();
    let start = Instant::now();
    let (second, third) = (call(&mut service, Ask::Answer(2)), call(&mut service, Ask::Answer(3)));
    drop(second);
    let fourth = call(&mut service, Ask::Answer(4));
    assert_eq!(third.await, Ok(3));
    assert_eq!(start.elapsed(), 200 * MS, "as it was promised");
    assert_eq!(fourth.await, Ok(4));
    assert_eq!(start.elapsed(), 300 * MS, "nobody overtakes");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_has_been_used_is_not_given_back() {
    let layer = tenths();
    let mut service = layer.layer(Mock::new());
    call(&mut service, Ask::Answer(1)).await.unwrap();
    let mut waiting = call(&mut service, Ask::Hold);
    sleep(100 * MS).await;
    assert!(poll_once(&mut waiting).is_pending(), "it runs");
    drop(waiting);
    assert_eq!(layer.handle().wait(), 100 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_million_calls_that_leave_cost_nobody_anything() {
    let layer = tenths();
    let mut service = layer.layer(Mock::new());
    call(&mut service, Ask::Answer(1)).await.unwrap();
    for _ in 0..1_000_000 {
        drop(ready(&mut service).call(Ask::Answer(2)));
    }
    assert_eq!(layer.handle().wait(), 100 * MS);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_reaches_the_call_that_waited_for_it() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = tenths().layer(mock);
    call(&mut service, Ask::Answer(1)).await.unwrap();
    let waiting = call(&mut service, Ask::Answer(2));
    watch.fail_readiness(9);
    assert_eq!(waiting.await, Err(Fault::Broken(9)));
}

#[tokio::test(start_paused = true)]
async fn the_longest_wait_there_is_does_not_overflow() {
    let layer = RateLimitLayer::builder().per(1, HOUR).max_wait(Duration::MAX).build();
    let mut service = layer.layer(Mock::new());
    let start = Instant::now();
    call(&mut service, Ask::Answer(1)).await.unwrap();
    assert_eq!(service.ready().await.unwrap().call(Ask::Answer(2)).await, Ok(2));
    assert_eq!(start.elapsed(), HOUR);
}
