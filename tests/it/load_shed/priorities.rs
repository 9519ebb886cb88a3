//! Priorities: who is shed, and who never is.

use std::time::Duration;

use buttress::load_shed::{Gauge, LoadShedLayer, Priority, PriorityClass};
use tokio::time::{Instant, sleep};
use tower::Layer;
use tower::limit::ConcurrencyLimit;

use super::MS;
use crate::support::{Ask, Mock, call, poll_once, refusal};

/// `Answer(n)` is of the n-th class; another request has no priority.
fn class(ask: &Ask) -> Option<Priority> {
    match ask {
        Ask::Answer(n) | Ask::After(_, n) => Some(PriorityClass::ALL[*n as usize].into()),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn the_share_that_is_shed_is_that_of_the_low_classes() {
    let gauge = Gauge::new();
    let layer = LoadShedLayer::builder().signal(gauge.clone()).priority(class).build();
    let mut service = layer.layer(Mock::new());
    // Healthy for ten windows of the histogram, with a fifth of each class.
    for round in 0..10_000 {
        call(&mut service, Ask::Answer(round % 5)).await.unwrap();
        sleep(2 * MS).await;
    }
    for (level, served) in [(0.2, [200, 200, 200, 200, 0]), (0.5, [200, 200, 100, 0, 0])] {
        gauge.set(level);
        let mut counts = [0_i32; 5];
        for round in 0..1000 {
            let of = round % 5;
            counts[of as usize] += i32::from(call(&mut service, Ask::Answer(of)).await.is_ok());
        }
        let close = counts.iter().zip(served).all(|(count, served)| (count - served).abs() <= 5);
        assert!(close, "{counts:?} at {level}");
    }
}

#[tokio::test(start_paused = true)]
async fn exempt_requests_pass_at_every_level() {
    let health = |ask: &Ask| matches!(ask, Ask::Pend(_));
    let plain = LoadShedLayer::builder().signal(|| 1.0).exempt(health).build();
    // In either order.
    let first = LoadShedLayer::builder().signal(|| 1.0).exempt(health).priority(class).build();
    let last = LoadShedLayer::builder().signal(|| 1.0).priority(class).exempt(health).build();
    let marked = |ask: &Ask| health(ask).then_some(Priority::EXEMPT);
    let by_priority = LoadShedLayer::builder().signal(|| 1.0).priority(marked).build();
    refusal(call(&mut plain.layer(Mock::new()), Ask::Answer(1)).await);
    refusal(call(&mut first.layer(Mock::new()), Ask::Answer(4)).await);
    call(&mut plain.layer(Mock::new()), Ask::Pend(1)).await.unwrap();
    call(&mut first.layer(Mock::new()), Ask::Pend(1)).await.unwrap();
    call(&mut last.layer(Mock::new()), Ask::Pend(1)).await.unwrap();
    call(&mut by_priority.layer(Mock::new()), Ask::Pend(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn exempt_requests_wait_for_the_inner_service_where_others_are_refused() {
    let mock = Mock::new();
    let watch = mock.watch();
    let layer = LoadShedLayer::builder()
        .exempt(|ask: &Ask| *ask == Ask::Answer(7))
        .fail_fast(10 * MS)
        .queue(1)
        .build();
    let service = layer.layer(mock);
    watch.stall();
    let mut waiting = call(&mut service.clone(), Ask::Answer(7));
    assert!(poll_once(&mut waiting).is_pending());
    refusal(call(&mut service.clone(), Ask::Answer(1)).await);
    let mut second = call(&mut service.clone(), Ask::Answer(7));
    assert!(poll_once(&mut second).is_pending());
    sleep(60_000 * MS).await;
    assert!(poll_once(&mut waiting).is_pending());
    assert_eq!(layer.handle().queued(), 0);
    watch.unstall();
    assert_eq!((waiting.await.unwrap(), second.await.unwrap()), (7, 7));
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_only_the_exempt_wait() {
    let mock = Mock::new();
    let watch = mock.watch();
    let layer = LoadShedLayer::builder().exempt(|ask: &Ask| *ask == Ask::Answer(7)).build();
    let mut service = layer.layer(mock);
    watch.stall();
    let start = Instant::now();
    refusal(call(&mut service, Ask::Answer(1)).await);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(poll_once(&mut call(&mut service, Ask::Answer(7))).is_pending());
}

/// Two calls each millisecond for a service that takes one, half of them critical.
#[tokio::test(start_paused = true)]
async fn what_finds_no_room_is_the_share_that_is_shed_and_the_critical_half_is_served() {
    let layer = LoadShedLayer::builder().queue_delay(5 * MS, 100 * MS).priority(class).build();
    let service = layer.layer(ConcurrencyLimit::new(Mock::new(), 10));
    let send = |n| tokio::spawn(call(&mut service.clone(), Ask::After(10 * MS, n)));
    for _ in 0..1000 {
        send(0);
        sleep(2 * MS).await;
    }
    let (mut critical, mut sheddable) = (Vec::new(), Vec::new());
    for _ in 0..4000 {
        critical.push(send(0));
        sheddable.push(send(4));
        sleep(MS).await;
    }
    let excess = layer.handle().excess();
    assert!(excess > 0.1 && excess < 0.7, "{excess}");
    let mut served = [0, 0];
    for (sum, calls) in served.iter_mut().zip([critical, sheddable]) {
        for call in calls {
            *sum += usize::from(call.await.unwrap().is_ok());
        }
    }
    assert!(served[0] >= 3400, "critical: {served:?}");
    assert!(served[1] <= 900 && served[0] + served[1] >= 3700, "sheddable: {served:?}");
    // And everybody is back in when the load is gone.
    sleep(8000 * MS).await;
    for _ in 0..500 {
        call(&mut service.clone(), Ask::After(10 * MS, 4)).await.unwrap();
    }
    assert!(!layer.handle().is_shedding());
}
