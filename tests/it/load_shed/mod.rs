//! Load shedding, sentence by sentence. Here: a layer in which nothing waits.

mod fail_fast;
mod leaving;
mod priorities;
mod queue_delay;
mod reports;
mod signals;

use std::task::{Context, Poll, ready};
use std::time::Duration;

use buttress::Reason;
use buttress::load_shed::LoadShedLayer;
use tokio::task::coop;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service};

use crate::support::{
    Ask, Fault, Hand, Mock, Reply, call, poll_once, ready as made_ready, refusal,
};

pub(super) const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn it_is_always_ready_and_refuses_overloaded_when_the_inner_is_not() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = LoadShedLayer::builder().name("front").build().layer(mock);
    for _ in 0..10 {
        call(&mut service, Ask::Answer(1)).await.unwrap();
    }
    watch.stall();
    for _ in 0..3 {
        let rejected = refusal(call(&mut service, Ask::Answer(1)).await);
        assert_eq!((rejected.reason(), rejected.name()), (Reason::Overloaded, Some("front")));
        assert!(!rejected.was_dispatched());
    }
    watch.unstall();
    call(&mut service, Ask::Answer(1)).await.unwrap();
    assert_eq!(watch.called().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_was_pending_and_is_ready_when_asked_again_serves() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = LoadShedLayer::new().layer(mock);
    watch.stall();
    made_ready(&mut service);
    watch.unstall();
    made_ready(&mut service);
    service.call(Ask::Answer(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_readiness_once_had_stands_and_serves_one_call() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = LoadShedLayer::new().layer(mock);
    for _ in 0..3 {
        made_ready(&mut service);
    }
    watch.stall();
    made_ready(&mut service);
    let mut clone = service.clone();
    service.call(Ask::Answer(1)).await.unwrap();
    refusal(call(&mut service, Ask::Answer(1)).await);
    refusal(call(&mut clone, Ask::Answer(1)).await);
}

#[tokio::test(start_paused = true)]
async fn it_leaves_the_inners_queue_on_pending_by_swapping_in_a_fresh_clone() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = LoadShedLayer::new().layer(mock);
    watch.stall();
    made_ready(&mut service);
    assert_eq!((watch.instances(), watch.alive()), (2, 1), "the first one is gone");
    watch.unstall();
    call(&mut service, Ask::Answer(1)).await.unwrap();
    assert_eq!(watch.called(), [1]);
}

/// tower's own limit: an instance that was pending keeps its place in the semaphore, and is given
/// the permit whether anybody still polls it or not.
#[tokio::test(start_paused = true)]
async fn an_idle_clone_never_strands_a_permit() {
    let service = LoadShedLayer::new().layer(ConcurrencyLimit::new(Mock::new(), 1));
    let mut idle: Vec<_> = (0..50).map(|_| service.clone()).collect();
    let mut busy = service.clone();
    for round in 0..10 {
        let held = call(&mut busy, Ask::Hold);
        for one in &mut idle {
            made_ready(one);
        }
        refusal(call(&mut idle[round], Ask::Answer(1)).await);
        drop(held);
        call(&mut idle[round], Ask::Answer(1)).await.unwrap();
        call(&mut busy, Ask::Answer(1)).await.unwrap();
    }
}

/// The same with tower's own layer, which wedges with nothing in flight: what the test above is
/// worth.
#[tokio::test(start_paused = true)]
async fn towers_layer_strands_it() {
    let service = tower::load_shed::LoadShed::new(ConcurrencyLimit::new(Mock::new(), 1));
    let (mut busy, mut idle) = (service.clone(), service);
    let held = call(&mut busy, Ask::Hold);
    made_ready(&mut idle);
    drop(held);
    assert!(call(&mut busy, Ask::Answer(1)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_call_shed_by_a_signal_gives_the_permit_back() {
    let layer = LoadShedLayer::builder().signal(|| 1.0).build();
    let limit = ConcurrencyLimit::new(Mock::new(), 1);
    let mut shedding = layer.layer(limit.clone());
    refusal(call(&mut shedding, Ask::Answer(1)).await);
    call(&mut LoadShedLayer::new().layer(limit), Ask::Answer(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_fast_path_clones_nothing() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = LoadShedLayer::new().layer(mock);
    for _ in 0..10 {
        call(&mut service, Ask::Answer(1)).await.unwrap();
    }
    assert_eq!(watch.instances(), 1);
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_inners_readiness_reach_the_caller() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = LoadShedLayer::new().layer(mock);
    watch.fail_readiness(7);
    let Poll::Ready(Err(fault)) = Hand::new().poll_ready(&mut service) else {
        panic!("the inner service fails");
    };
    assert_eq!(fault, Fault::Broken(7));
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_readiness_is_refused() {
    let mut service = LoadShedLayer::new().layer(Mock::new());
    refusal(service.call(Ask::Answer(1)).await);
}

/// Ready as tokio's resources are: pending for a task that has used up its share of time.
#[derive(Clone, Debug)]
struct Cooperative(Mock);

impl Service<Ask> for Cooperative {
    type Response = u32;
    type Error = Fault;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        ready!(coop::poll_proceed(cx)).made_progress();
        self.0.poll_ready(cx)
    }

    fn call(&mut self, ask: Ask) -> Reply {
        self.0.call(ask)
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_has_used_up_its_share_of_time_is_served() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = LoadShedLayer::new().layer(Cooperative(mock));
    // Never yields to the runtime.
    for round in 0..1000 {
        let answer = poll_once(&mut call(&mut service, Ask::Answer(1)));
        assert_eq!(answer, Poll::Ready(Ok(1)), "call {round}");
    }
    assert!(!coop::has_budget_remaining(), "it was used up");
    watch.stall();
    refusal(call(&mut service, Ask::Answer(1)).await);
}
