//! The adaptive limit around whatever algorithm, sentence by sentence of what it promises. See
//! `tests/SPEC.md`.

mod hostile;
mod model;
mod priorities;
mod puppet;
mod queue;
mod reports;
mod samples;
mod slots;

use std::sync::Arc;
use std::time::Duration;

use buttress::adaptive_limit::{AdaptiveLimitLayer, Algorithm, Ended};
use buttress::timeout::TimeoutLayer;
use buttress::{Error, Reason};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::adaptive_limit::puppet::Puppet;
use crate::support::{Ask, Mock, call, refusal};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn with_no_number_to_configure_it_finds_about_what_the_service_carries() {
    const WORKERS: usize = 16;
    let workers = Arc::new(Semaphore::new(WORKERS));
    let layer = AdaptiveLimitLayer::new();
    let service = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(TimeoutLayer::new(100 * MS))
        .service_fn(move |(): ()| {
            let workers = workers.clone();
            async move {
                let _worker = workers.acquire().await;
                sleep(10 * MS).await;
                Ok::<_, Error<&str>>(())
            }
        });
    // Twice what it can do, for half a minute; one millisecond is the finest that timers know.
    let mut served = 0;
    let mut calls = tokio::task::JoinSet::new();
    for tick in 0..30_000 {
        for _ in 0..3 {
            calls.spawn(service.clone().oneshot(()));
        }
        sleep(MS).await;
        while let Some(outcome) = calls.try_join_next() {
            served += usize::from(tick > 10_000 && outcome.unwrap().is_ok());
        }
    }
    let limit = layer.handle().limit();
    assert!((WORKERS / 2..=WORKERS * 12).contains(&limit), "{limit}");
    let could = 20_000 * WORKERS / 11;
    assert!(served > could / 2, "{served} of {could}");
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_it_refuses_with_limit_reached() {
    let mock = Mock::new();
    let watch = mock.watch();
    let layer = AdaptiveLimitLayer::builder().algorithm(Puppet::at(3.0)).name("search").build();
    let mut service = layer.layer(mock);
    for round in 1..=4 {
        let held: Vec<_> = (0..3).map(|_| call(&mut service, Ask::Hold)).collect();
        let refused = refusal(call(&mut service, Ask::Hold).await);
        assert_eq!((refused.reason(), refused.name()), (Reason::LimitReached, Some("search")));
        assert!(!refused.was_dispatched());
        assert_eq!(watch.called().len(), 3 * round, "the refused call never got in");
        assert_eq!(layer.handle().in_flight(), 3);
        drop(held);
    }
    assert_eq!(watch.most_replies(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_limit_stays_from_min_to_max_and_starts_with_initial() {
    let layer = AdaptiveLimitLayer::builder().min(3).max(40).initial(7).build();
    assert_eq!(layer.handle().limit(), 7);

    let puppet = Puppet::at(100.0);
    let layer =
        AdaptiveLimitLayer::builder().algorithm(puppet.clone()).min(3).max(40).initial(7).build();
    let range = puppet.range().unwrap();
    assert_eq!((range.min, range.max, range.initial), (3, 40, Some(7)));
    assert_eq!(layer.handle().limit(), 40, "from the start");
    let mut service = layer.layer(Mock::new());
    for (wanted, limit) in [
        (17.99, 17),
        (3.0, 3),
        (2.99, 3),
        (-1.0, 3),
        (f64::NEG_INFINITY, 3),
        (f64::NAN, 3),
        (40.99, 40),
        (41.0, 40),
        (1e300, 40),
        (f64::INFINITY, 40),
    ] {
        puppet.set_limit(wanted);
        assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
        assert_eq!(layer.handle().limit(), limit, "{wanted}");
    }
}

#[test]
fn unless_told_otherwise_the_limit_is_from_1_to_10_000_and_the_algorithm_begins_where_it_likes() {
    let puppet = Puppet::at(0.0);
    let layer = AdaptiveLimitLayer::builder().algorithm(puppet.clone()).build();
    let range = puppet.range().unwrap();
    assert_eq!((range.min, range.max, range.initial), (1, 10_000, None));
    assert_eq!(layer.handle().limit(), 1);
    let own = AdaptiveLimitLayer::default().handle().limit();
    assert!((1..=10_000).contains(&own));
}

/// A whole step up with each answer, a whole one down with each other end.
#[derive(Debug)]
struct Steps(f64);

impl Algorithm for Steps {
    fn limit(&self) -> f64 {
        self.0
    }

    fn ended(&mut self, call: &Ended) {
        self.0 +=
            if call.outcome == buttress::adaptive_limit::Outcome::Answered { 1.0 } else { -1.0 };
    }
}

#[tokio::test(start_paused = true)]
async fn an_algorithm_needs_to_write_two_methods_and_moves_the_limit_with_them() {
    let layer = AdaptiveLimitLayer::builder().algorithm(Steps(4.0)).max(6).build();
    let mut service = layer.layer(Mock::new());
    for (ask, limit) in [
        (Ask::Answer(1), 5),
        (Ask::Answer(1), 6),
        (Ask::Answer(1), 6),
        (Ask::Fail(1), 6),
        (Ask::Fail(1), 5),
        (Ask::Fail(1), 4),
    ] {
        drop(call(&mut service, ask).await);
        assert_eq!(layer.handle().limit(), limit);
    }
}

#[tokio::test(start_paused = true)]
async fn after_any_weather_it_recovers_alone() {
    let layer = AdaptiveLimitLayer::builder().algorithm(Steps(20.0)).build();
    let mut service = layer.layer(Mock::new());
    for _ in 0..1000 {
        drop(call(&mut service, Ask::Fail(1)).await);
    }
    assert_eq!(layer.handle().limit(), 1, "one call is let in whatever has happened");
    for _ in 0..1000 {
        drop(call(&mut service, Ask::Answer(1)).await);
    }
    assert!(layer.handle().limit() > 1);
}

#[test]
fn a_limit_needs_neither_a_timer_nor_a_runtime_that_has_them() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let layer = AdaptiveLimitLayer::builder().algorithm(Puppet::at(1.0)).build();
        let mut service = layer.layer(Mock::new());
        let held = call(&mut service, Ask::Hold);
        refusal(call(&mut service, Ask::Answer(1)).await);
        drop(held);
        assert_eq!(call(&mut service, Ask::Answer(2)).await, Ok(2));
    });
}

#[tokio::test(start_paused = true)]
async fn state_is_in_the_layer_and_all_its_services_and_clones_share_it() {
    let layer = AdaptiveLimitLayer::builder().algorithm(Puppet::at(1.0)).build();
    let mut services =
        [layer.layer(Mock::new()), layer.clone().layer(Mock::new()), layer.layer(Mock::new())];
    services[2] = services[0].clone();
    let held = call(&mut services[0], Ask::Hold);
    for service in &mut services {
        refusal(call(service, Ask::Answer(1)).await);
    }
    drop(held);
    assert_eq!(call(&mut services[1], Ask::Answer(1)).await, Ok(1));
    let other = AdaptiveLimitLayer::builder().algorithm(Puppet::at(1.0)).build();
    let _held = call(&mut services[0], Ask::Hold);
    assert_eq!(call(&mut other.layer(Mock::new()), Ask::Answer(1)).await, Ok(1));
}

#[tokio::test]
async fn a_service_that_cannot_fail_is_served_too() {
    let layer = AdaptiveLimitLayer::builder().build();
    let service =
        layer.layer(service_fn(async |n: u32| Ok::<_, Error<std::convert::Infallible>>(n)));
    assert_eq!(service.oneshot(7).await.unwrap(), 7);
}
