//! Queue delay: who waits how long, and who goes first.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::load_shed::{LoadShedLayer, QueueDelay};
use buttress::{Reason, Rejected};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep, sleep_until};
use tower::Layer;
use tower::limit::ConcurrencyLimit;

use super::MS;
use crate::support::{Ask, Fault, Mock, call, poll_once, refusal};

type Shed<S> = buttress::load_shed::LoadShed<S, buttress::load_shed::Queue>;
type Limited = Shed<ConcurrencyLimit<Mock>>;

/// Five milliseconds in a hundred, as in the papers.
fn published() -> LoadShedLayer<buttress::load_shed::Queue> {
    LoadShedLayer::builder().queue_delay(5 * MS, 100 * MS).build()
}

fn stalled() -> (Mock, crate::support::Watch) {
    let mock = Mock::new();
    let watch = mock.watch();
    watch.stall();
    (mock, watch)
}

async fn refused_after(service: &mut Shed<Mock>) -> Duration {
    let start = Instant::now();
    assert_eq!(refusal(call(service, Ask::Answer(1)).await).reason(), Reason::Overloaded);
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_the_interval_and_in_a_standing_queue_for_the_target() {
    let (mock, watch) = stalled();
    let layer = published();
    let mut service = layer.layer(mock);
    watch.unstall();
    for _ in 0..10 {
        call(&mut service, Ask::Answer(1)).await.unwrap();
        sleep(100 * MS).await;
    }
    watch.stall();
    let start = Instant::now();
    let waits = [0, 50, 94, 96, 99, 100, 103, 110].map(|at| {
        let mut service = service.clone();
        async move {
            sleep_until(start + at * MS).await;
            refused_after(&mut service).await.as_millis()
        }
    });
    assert_eq!(futures::future::join_all(waits).await, [100, 50, 6, 5, 5, 5, 5, 5]);
}

#[tokio::test(start_paused = true)]
async fn while_the_minimum_wait_is_within_the_target_nobody_is_shed() {
    let layer = published();
    let mut service = layer.layer(ConcurrencyLimit::new(Mock::new(), 1));
    // For ten intervals: always somebody in line, and each is served after 4 ms.
    let mut waiting = tokio::spawn(call(&mut service, Ask::After(4 * MS, 1)));
    for _ in 0..250 {
        let next = tokio::spawn(call(&mut service, Ask::After(4 * MS, 1)));
        waiting.await.unwrap().unwrap();
        assert!(!layer.handle().is_shedding());
        waiting = next;
    }
}

/// What becomes of a call, and when.
type Log = Arc<Mutex<Vec<(u32, Duration, bool)>>>;

fn send(service: &Limited, log: &Log, start: Instant, n: u32, takes: Duration) -> JoinHandle<()> {
    let (mut service, log) = (service.clone(), log.clone());
    // In line from here on, in the order of sending.
    let mut call = call(&mut service, Ask::After(takes, n));
    let _ = poll_once(&mut call);
    tokio::spawn(async move {
        let outcome: Result<u32, Fault> = call.await;
        log.lock().unwrap().push((n, start.elapsed(), outcome.is_ok()));
    })
}

#[tokio::test(start_paused = true)]
async fn first_in_first_out_while_the_queue_does_not_stand() {
    let service = published().layer(ConcurrencyLimit::new(Mock::new(), 1));
    let (log, start) = (Log::default(), Instant::now());
    let calls: Vec<_> = (0..5).map(|n| send(&service, &log, start, n, 10 * MS)).collect();
    futures::future::join_all(calls).await;
    let served: Vec<u32> = log.lock().unwrap().iter().map(|(n, ..)| *n).collect();
    assert_eq!(served, [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn newest_first_while_overloaded() {
    let layer = published();
    let service = layer.layer(ConcurrencyLimit::new(Mock::new(), 1));
    let (log, start) = (Log::default(), Instant::now());
    let mut calls = vec![send(&service, &log, start, 0, 101 * MS)];
    calls.push(send(&service, &log, start, 1, MS));
    sleep_until(start + 99 * MS).await;
    calls.extend((2..4).map(|n| send(&service, &log, start, n, MS)));
    sleep_until(start + 100 * MS).await;
    assert!(layer.handle().is_shedding());
    tokio::task::yield_now().await;
    // By now the first has given up, and the third asks the inner service.
    calls.push(send(&service, &log, start, 4, MS));
    futures::future::join_all(calls).await;
    let expected =
        [(1, 100, false), (0, 101, true), (4, 102, true), (3, 103, true), (2, 104, true)];
    assert_eq!(*log.lock().unwrap(), expected.map(|(n, at, served)| (n, at * MS, served)));
}

#[tokio::test(start_paused = true)]
async fn it_sheds_until_the_queue_has_run_empty_and_nobody_was_refused_for_an_interval() {
    let (mock, watch) = stalled();
    let layer = published();
    let mut service = layer.layer(mock);
    refused_after(&mut service).await;
    assert_eq!(refused_after(&mut service).await, 5 * MS);
    watch.unstall();
    call(&mut service, Ask::Answer(1)).await.unwrap();
    watch.stall();
    sleep(99 * MS).await;
    assert!(layer.handle().is_shedding());
    assert_eq!(refused_after(&mut service).await, 5 * MS);
    watch.unstall();
    call(&mut service, Ask::Answer(1)).await.unwrap();
    watch.stall();
    sleep(100 * MS).await;
    assert!(!layer.handle().is_shedding());
    assert_eq!(refused_after(&mut service).await, 100 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_queue_to_which_nobody_came_for_an_interval_is_forgotten() {
    let (mock, _watch) = stalled();
    let mut service = published().layer(mock);
    assert_eq!(refused_after(&mut service).await, 100 * MS);
    sleep(99 * MS).await;
    assert_eq!(refused_after(&mut service).await, 5 * MS);
    sleep(100 * MS).await;
    assert_eq!(refused_after(&mut service).await, 100 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let (mock, watch) = stalled();
    let layer = LoadShedLayer::builder().queue(2).build();
    let service = layer.layer(mock);
    let [first, second] = [1, 2].map(|n| call(&mut service.clone(), Ask::Answer(n)));
    assert_eq!(refused_after(&mut service.clone()).await, Duration::ZERO);
    drop(first);
    let mut third = call(&mut service.clone(), Ask::Answer(3));
    assert!(poll_once(&mut third).is_pending());
    watch.unstall();
    assert_eq!((second.await.unwrap(), third.await.unwrap()), (2, 3));
    assert_eq!(layer.handle().queued(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_alone_has_the_figures_of_the_papers() {
    let (mock, _watch) = stalled();
    let mut service = LoadShedLayer::builder().queue(9).build().layer(mock);
    assert_eq!(QueueDelay::default(), QueueDelay { target: 5 * MS, interval: 100 * MS });
    assert_eq!(refused_after(&mut service).await, 100 * MS);
    assert_eq!(refused_after(&mut service).await, 5 * MS);
}

#[tokio::test(start_paused = true)]
async fn whoever_waited_too_long_is_refused_though_the_inner_service_is_ready() {
    let (mock, watch) = stalled();
    let mut service = published().layer(mock);
    let mut late = call(&mut service, Ask::Answer(1));
    assert!(poll_once(&mut late).is_pending());
    advance(101 * MS).await;
    watch.unstall();
    let rejected: Rejected = refusal(late.await);
    assert_eq!(rejected.reason(), Reason::Overloaded);
}

#[tokio::test(start_paused = true)]
async fn only_the_one_whose_turn_it_is_asks_the_inner_service() {
    let (mock, watch) = stalled();
    let service = published().layer(mock);
    let mut calls: Vec<_> = (0..9).map(|n| call(&mut service.clone(), Ask::Answer(n))).collect();
    let polled = calls.iter_mut().all(|call| poll_once(call).is_pending());
    assert!(polled);
    watch.unstall();
    for (n, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap(), n);
    }
    assert_eq!(watch.called().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_fails_when_the_turn_has_come_fails_the_call() {
    let (mock, watch) = stalled();
    let service = published().layer(mock);
    let mut failing = call(&mut service.clone(), Ask::Answer(1));
    let mut next = call(&mut service.clone(), Ask::Answer(2));
    assert!(poll_once(&mut failing).is_pending() && poll_once(&mut next).is_pending());
    watch.fail_readiness(7);
    assert_eq!(failing.await, Err(Fault::Broken(7)));
    watch.unstall();
    assert_eq!(next.await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn everybody_gets_through_a_limit_of_one_in_time() {
    let layer = LoadShedLayer::builder().queue_delay(3_600_000 * MS, 7_200_000 * MS).build();
    let service = layer.layer(ConcurrencyLimit::new(Mock::new(), 1));
    let calls = (0..24).map(|n| {
        let mut service = service.clone();
        async move {
            for round in 0..3 {
                call(&mut service, Ask::After(5 * MS, n + round)).await.unwrap();
            }
        }
    });
    let start = Instant::now();
    futures::future::join_all(calls).await;
    assert_eq!(start.elapsed(), 72 * 5 * MS, "one at a time, and no gap between");
    assert_eq!(layer.handle().queued(), 0);
}

/// Goodput under twice the load: every answer comes in time, and the service is never idle.
#[tokio::test(start_paused = true)]
async fn at_twice_the_load_the_service_is_busy_and_every_answer_is_prompt() {
    let layer = published();
    let service = layer.layer(ConcurrencyLimit::new(Mock::new(), 10));
    let (log, start) = (Log::default(), Instant::now());
    let mut calls = Vec::new();
    // Ten at a time, of 10 ms each, are one in 1 ms. Healthy for ten intervals, then two in 1 ms.
    for n in 0..1000 {
        calls.push(send(&service, &log, Instant::now(), n, 10 * MS));
        sleep(MS).await;
    }
    futures::future::join_all(std::mem::take(&mut calls)).await;
    assert!(log.lock().unwrap().iter().all(|(.., served)| *served), "nobody is shed");
    log.lock().unwrap().clear();
    let overload = Instant::now();
    for n in 0..2000 {
        calls.extend([n, n].map(|n| send(&service, &log, Instant::now(), n, 10 * MS)));
        sleep(MS).await;
    }
    futures::future::join_all(calls).await;
    let log = log.lock().unwrap();
    let served: Vec<_> = log.iter().filter(|(.., served)| *served).collect();
    assert!(served.len() >= 1900, "{} of 2000 that it can serve", served.len());
    let prompt = served.iter().filter(|(_, took, _)| *took <= 16 * MS).count();
    assert!(prompt >= 1800, "{prompt} of {}", served.len());
    assert!(overload - start >= 1000 * MS);
}
