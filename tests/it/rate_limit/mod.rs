//! The rate limit: who passes, who waits, and what is told.

#[cfg(feature = "http")]
mod headers;
mod keys;
mod reports;
mod waiting;

use std::time::Duration;

use buttress::Reason;
use buttress::rate_limit::{RateLimit, RateLimitLayer};
use tokio::time::{Instant, advance};
use tower::{Layer, Service};

use crate::support::{Ask, Fault, Hand, Mock, call, poll_once, refusal};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// How many calls pass one after the other before the first is refused, and when that may come again.
async fn passing<S>(service: &mut S) -> (u32, Option<Duration>)
where
    S: Service<Ask, Response = u32, Error = Fault>,
{
    for passed in 0.. {
        if let Err(Fault::Rejected(refused)) = call(service, Ask::Answer(1)).await {
            assert_eq!(refused.reason(), Reason::RateLimited);
            assert!(!refused.was_dispatched());
            return (passed, refused.retry_after());
        }
    }
    unreachable!("sooner or later it refuses")
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_then_one_call_each_interval() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = RateLimitLayer::builder().per_second(10).burst(3).build().layer(mock);
    assert_eq!(passing(&mut service).await, (3, Some(100 * MS)));
    advance(99 * MS).await;
    assert_eq!(passing(&mut service).await, (0, Some(MS)));
    advance(MS).await;
    assert_eq!(passing(&mut service).await, (1, Some(100 * MS)));
    advance(250 * MS).await;
    assert_eq!(passing(&mut service).await, (2, Some(50 * MS)), "what was left of the time counts");
    advance(HOUR).await;
    assert_eq!(passing(&mut service).await, (3, Some(100 * MS)), "a burst at most");
    assert_eq!(watch.called().len(), 9, "a refused call never gets in");
}

#[tokio::test(start_paused = true)]
async fn without_a_burst_it_is_what_a_period_brings() {
    assert_eq!(passing(&mut RateLimitLayer::new(5).layer(Mock::new())).await.0, 5);
    let hourly = RateLimitLayer::builder().per(60, HOUR).build();
    assert_eq!(passing(&mut hourly.layer(Mock::new())).await, (60, Some(60 * SECOND)));
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_when_told_passes_to_the_nanosecond() {
    for calls in [3, 7, 1_500, 999_999] {
        let mut service =
            RateLimitLayer::builder().per_second(calls).burst(1).build().layer(Mock::new());
        for _ in 0..50 {
            assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
            let wait = refusal(call(&mut service, Ask::Answer(1)).await).retry_after().unwrap();
            assert_eq!(wait, SECOND / calls);
            advance(wait - Duration::from_nanos(1)).await;
            let early = refusal(call(&mut service, Ask::Answer(1)).await).retry_after().unwrap();
            assert_eq!(early, Duration::from_nanos(1));
            advance(early).await;
        }
    }
}

/// Whoever comes, in no time do more pass than the burst and the rate.
#[tokio::test(start_paused = true)]
async fn after_ten_windows_of_healthy_traffic_the_burst_is_what_it_was() {
    let layer = RateLimitLayer::builder().per_second(100).burst(20).build();
    let mut service = layer.layer(Mock::new());
    for _ in 0..10 * 50 {
        assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1), "half the rate");
        advance(20 * MS).await;
    }
    assert_eq!(layer.handle().available(), 20);
    let (start, mut passed) = (Instant::now(), 0);
    while start.elapsed() < SECOND {
        passed += passing(&mut service).await.0;
        advance(MS).await;
    }
    assert_eq!(passed, 20 + 99, "the burst, and what a second brings up to its last ms");
}

#[tokio::test(start_paused = true)]
async fn all_services_of_a_layer_and_its_clones_share_one_rate() {
    let layer = RateLimitLayer::new(4);
    let mut first = layer.layer(Mock::new());
    for _ in 0..2 {
        call(&mut first, Ask::Answer(1)).await.unwrap();
        call(&mut layer.clone().layer(Mock::new()), Ask::Answer(1)).await.unwrap();
    }
    assert_eq!(passing(&mut first.clone()).await, (0, Some(250 * MS)));
    assert_eq!(passing(&mut RateLimitLayer::new(4).layer(Mock::new())).await.0, 4);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_or_is_dropped_has_had_its_turn() {
    let layer = RateLimitLayer::new(3);
    let mut service = layer.layer(Mock::new());
    assert_eq!(call(&mut service, Ask::Fail(1)).await, Err(Fault::Broken(1)));
    drop(call(&mut service, Ask::Hold));
    assert_eq!(layer.handle().available(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_leaves_the_instance_its_readiness() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = RateLimitLayer::new(1).layer(mock);
    call(&mut service, Ask::Answer(1)).await.unwrap();
    refusal(call(&mut service, Ask::Answer(1)).await);
    watch.stall();
    advance(SECOND).await;
    assert_eq!(call(&mut service, Ask::Answer(2)).await, Ok(2), "with the grant of the refused");
    assert!(Hand::new().poll_ready(&mut service).is_pending());
}

fn units(ask: &Ask) -> u32 {
    match ask {
        Ask::Answer(units) => *units,
        _ => 1,
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_costs_what_its_request_says() {
    let layer = RateLimitLayer::builder().per_second(10).burst(5).cost(units).build();
    let mut service = layer.layer(Mock::new());
    assert_eq!(call(&mut service, Ask::Answer(4)).await, Ok(4));
    let refused = refusal(call(&mut service, Ask::Answer(3)).await);
    assert_eq!(refused.retry_after(), Some(200 * MS), "two are missing");
    assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1), "a cheaper one has room");
    assert_eq!(call(&mut service, Ask::Answer(0)).await, Ok(0), "what costs nothing always passes");
    advance(HOUR).await;
    let refused = refusal(call(&mut service, Ask::Answer(6)).await);
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::RateLimited, None), "never");
    assert_eq!(layer.handle().available(), 5, "and it costs nothing");
}

#[tokio::test(start_paused = true)]
async fn a_fixed_cost_is_that_of_each_call() {
    let layer = RateLimitLayer::builder().per_second(10).burst(5).fixed_cost(2).build();
    assert_eq!(passing(&mut layer.layer(Mock::new())).await, (2, Some(100 * MS)));
}

#[tokio::test(start_paused = true)]
async fn a_handle_reads_and_takes_nothing() {
    let layer = RateLimitLayer::new(2);
    let (mut service, handle) = (layer.layer(Mock::new()), layer.handle());
    for left in [2, 1] {
        assert_eq!((handle.available(), handle.wait()), (left, Duration::ZERO));
        assert_eq!(handle.available(), left, "twice the same");
        call(&mut service, Ask::Answer(1)).await.unwrap();
    }
    assert_eq!((handle.available(), handle.wait()), (0, 500 * MS));
    assert_eq!(handle.standing().more_in(), Some(500 * MS));
    assert_eq!(layer.standing(&Ask::Answer(1)), handle.standing());
    advance(499 * MS).await;
    assert_eq!((handle.available(), handle.wait()), (0, MS));
    advance(MS).await;
    assert_eq!((handle.available(), handle.wait()), (1, Duration::ZERO));
}

#[test]
fn threads_together_get_no_more_than_the_burst() {
    // One more call takes longer than the test.
    let layer = RateLimitLayer::builder().per(2_000, 10_000 * HOUR).build();
    let passed: usize = std::thread::scope(|scope| {
        let count = |mut service: RateLimit<Mock>| {
            (0..1_000)
                .filter(|_| {
                    poll_once(&mut call(&mut service, Ask::Answer(1))).map(|o| o.is_ok())
                        == std::task::Poll::Ready(true)
                })
                .count()
        };
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let service = layer.layer(Mock::new());
                scope.spawn(move || count(service))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((passed, layer.handle().available()), (2_000, 0));
}
