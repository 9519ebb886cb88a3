//! Fail-fast: refusing at once what has been pending for too long.

use std::convert::Infallible;
use std::future::{Ready, ready as now_ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use buttress::load_shed::{LoadShedLayer, Queue};
use buttress::{Error, Reason};
use tokio::time::{Instant, advance, sleep, timeout};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service};

use super::MS;
use crate::support::{Ask, Fault, Mock, call, poll_once, refusal};

type Driven = LoadShedLayer<Queue<buttress::load_shed::Driven>>;

fn after(ms: u32) -> Driven {
    LoadShedLayer::builder().fail_fast(ms * MS).build()
}

#[tokio::test(start_paused = true)]
async fn until_then_calls_wait_and_then_all_are_refused_to_the_millisecond() {
    let (mock, layer) = (Mock::new(), after(250));
    let watch = mock.watch();
    let service = layer.layer(mock);
    for _ in 0..10 {
        call(&mut service.clone(), Ask::Answer(1)).await.unwrap();
    }
    watch.stall();
    let start = Instant::now();
    let waits = [0, 1, 100, 249].map(|at| {
        let mut service = service.clone();
        async move {
            sleep(at * MS).await;
            let rejected = refusal(call(&mut service, Ask::Answer(1)).await);
            assert_eq!(rejected.reason(), Reason::Overloaded);
            assert!(!rejected.was_dispatched());
            start.elapsed()
        }
    });
    assert_eq!(futures::future::join_all(waits).await, [250 * MS; 4]);
    assert!(layer.handle().is_shedding());
    for at in [250, 1000, 60_000] {
        tokio::time::sleep_until(start + at * MS).await;
        refusal(call(&mut service.clone(), Ask::Answer(1)).await);
        assert_eq!(start.elapsed(), at * MS, "at once");
    }
    assert!(watch.called().len() == 10 && layer.handle().queued() == 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_is_served_when_the_inner_service_is_ready_in_time() {
    let (mock, layer) = (Mock::new(), after(250));
    let watch = mock.watch();
    let mut service = layer.layer(mock);
    watch.stall();
    let mut waiting = call(&mut service, Ask::Answer(5));
    assert!(poll_once(&mut waiting).is_pending());
    advance(249 * MS).await;
    assert!(poll_once(&mut waiting).is_pending());
    watch.unstall();
    assert_eq!(waiting.await.unwrap(), 5);
    assert!(!layer.handle().is_shedding());
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_in_the_same_poll_as_the_timer_wins() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = after(250).layer(mock);
    watch.stall();
    let mut waiting = call(&mut service, Ask::Answer(5));
    assert!(poll_once(&mut waiting).is_pending());
    advance(250 * MS).await;
    watch.unstall();
    assert_eq!(waiting.await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn each_readiness_begins_the_time_anew() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = after(100).layer(mock);
    for _ in 0..20 {
        watch.stall();
        let waiting = call(&mut service, Ask::Answer(1));
        advance(99 * MS).await;
        watch.unstall();
        waiting.await.unwrap();
    }
    watch.stall();
    let start = Instant::now();
    refusal(call(&mut service, Ask::Answer(1)).await);
    assert_eq!(start.elapsed(), 100 * MS);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_on_behind_one_who_was_served_have_their_time_anew() {
    let layer = after(100);
    let limit = ConcurrencyLimit::new(Mock::new(), 1);
    let mut service = layer.layer(limit);
    let _first = tokio::spawn(call(&mut service, Ask::After(60 * MS, 1)));
    let second = tokio::spawn(call(&mut service, Ask::After(500 * MS, 1)));
    let third = tokio::spawn(call(&mut service, Ask::Answer(1)));
    let start = Instant::now();
    refusal(third.await.unwrap());
    assert_eq!(start.elapsed(), 160 * MS, "pending since the second was served");
    second.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_recovers_by_itself() {
    let (mock, layer) = (Mock::new(), after(250));
    let watch = mock.watch();
    let mut service = layer.layer(mock);
    watch.stall();
    refusal(call(&mut service, Ask::Answer(1)).await);
    assert!(layer.handle().is_shedding());
    sleep(1000 * MS).await;
    watch.unstall();
    sleep(MS).await;
    assert!(!layer.handle().is_shedding(), "without a call");
    call(&mut service, Ask::Answer(1)).await.unwrap();
    // And is as it was before.
    watch.stall();
    let start = Instant::now();
    refusal(call(&mut service, Ask::Answer(1)).await);
    assert_eq!(start.elapsed(), 250 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_failed_readiness_ends_it_too_and_the_next_caller_sees_the_error() {
    let (mock, layer) = (Mock::new(), after(250));
    let watch = mock.watch();
    let mut service = layer.layer(mock);
    watch.stall();
    refusal(call(&mut service, Ask::Answer(1)).await);
    // Wakes whoever waits, once it fails.
    watch.fail_readiness(3);
    sleep(MS).await;
    assert!(!layer.handle().is_shedding());
    let failed = std::future::poll_fn(|cx| Service::<Ask>::poll_ready(&mut service, cx)).await;
    assert_eq!(failed, Err(Fault::Broken(3)));
}

/// Its readiness takes so many polls of one instance, each of which wakes the next.
#[derive(Debug)]
struct Connecting {
    steps: usize,
    taken: Arc<AtomicUsize>,
    instances: Arc<AtomicUsize>,
}

impl Clone for Connecting {
    fn clone(&self) -> Self {
        self.instances.fetch_add(1, Ordering::SeqCst);
        Self { steps: 20, taken: self.taken.clone(), instances: self.instances.clone() }
    }
}

impl Service<Ask> for Connecting {
    type Response = u32;
    type Error = Error<Infallible>;
    type Future = Ready<Result<u32, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.steps == 0 {
            return Poll::Ready(Ok(()));
        }
        self.steps -= 1;
        self.taken.fetch_add(1, Ordering::SeqCst);
        let waker = cx.waker().clone();
        tokio::spawn(async move {
            sleep(10 * MS).await;
            waker.wake();
        });
        Poll::Pending
    }

    fn call(&mut self, _: Ask) -> Self::Future {
        assert_eq!(self.steps, 0);
        now_ready(Ok(1))
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_is_driven_on_while_everybody_is_refused() {
    let (taken, instances) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let layer = after(50);
    let mut service =
        layer.layer(Connecting { steps: 20, taken: taken.clone(), instances: instances.clone() });
    let start = Instant::now();
    assert!(call(&mut service, Ask::Answer(1)).await.is_err());
    assert_eq!(start.elapsed(), 50 * MS);
    let before = taken.load(Ordering::SeqCst);
    // Nobody calls meanwhile. What the waiting call had got done is not lost.
    sleep(160 * MS).await;
    assert!(!layer.handle().is_shedding(), "ready after 200 ms");
    assert_eq!(taken.load(Ordering::SeqCst), 21, "{before} of them by the call, one in poll_ready");
}

#[tokio::test(start_paused = true)]
async fn one_task_at_most_drives_it() {
    let (mock, layer) = (Mock::new(), after(10));
    let watch = mock.watch();
    let service = layer.layer(mock);
    watch.stall();
    let calls = (0..100).map(|_| call(&mut service.clone(), Ask::Answer(1)));
    for outcome in futures::future::join_all(calls).await {
        refusal(outcome);
    }
    for _ in 0..100 {
        refusal(call(&mut service.clone(), Ask::Answer(1)).await);
    }
    assert_eq!(watch.alive(), 2, "the service, and the instance that is driven");
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 1);
    drop((service, layer));
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_eq!((watch.alive(), metrics.num_alive_tasks()), (0, 0), "it ends with the layer");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_the_inner_service_ready_is_served_whatever_was_before() {
    let (mock, layer) = (Mock::new(), after(10));
    let watch = mock.watch();
    let service = layer.layer(mock);
    watch.stall();
    refusal(call(&mut service.clone(), Ask::Answer(1)).await);
    watch.unstall();
    // The task has not run yet.
    call(&mut service.clone(), Ask::Answer(1)).await.unwrap();
    assert!(!layer.handle().is_shedding());
}

#[tokio::test(start_paused = true)]
async fn impatient_callers_one_after_the_other_do_not_put_it_off() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = after(250).layer(mock);
    watch.stall();
    for _ in 0..2 {
        assert!(timeout(100 * MS, call(&mut service, Ask::Answer(1))).await.is_err());
    }
    let start = Instant::now();
    refusal(call(&mut service, Ask::Answer(1)).await);
    assert_eq!(start.elapsed(), 50 * MS);
}

fn never_ready() -> Mock {
    let mock = Mock::new();
    mock.watch().stall();
    mock
}

#[tokio::test(start_paused = true)]
async fn a_line_is_bounded() {
    let service = after(250).layer(never_ready());
    let held: Vec<_> = (0..1024).map(|_| call(&mut service.clone(), Ask::Answer(1))).collect();
    let start = Instant::now();
    refusal(call(&mut service.clone(), Ask::Answer(1)).await);
    assert!(start.elapsed().is_zero());
    drop(held);
    let mut service =
        LoadShedLayer::builder().fail_fast(250 * MS).queue(1).build().layer(never_ready());
    let _first = call(&mut service, Ask::Answer(1));
    refusal(call(&mut service, Ask::Answer(1)).await);
    assert!(start.elapsed().is_zero());
}
