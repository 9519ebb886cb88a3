//! Callers that leave, and handlers that panic.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use buttress::idempotency::{Body, Concurrent, OnCancel, RecordState};
use buttress::observe::IdempotencyResult as Done;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt};

use super::{
    Answer, Runs, S, Sent, Told, answer, begin, call, memory, panic_of, plain, post, request,
    settle, shop, slow, state, unscoped,
};
use crate::support::faulty::{Fault, Op};

#[tokio::test(start_paused = true)]
async fn a_handler_whose_caller_leaves_runs_to_its_end_and_is_replayed() {
    let (store, runs, told) = (memory(), Runs::default(), Told::default());
    let layer = unscoped(&store).observe(told.listener()).build();
    let service = slow(&layer, &runs, 10 * S);
    let first = begin(&service, post("k", ""));
    tokio::time::sleep(S).await;
    drop(first);
    tokio::time::sleep(S).await;
    assert_eq!((runs.started(), runs.ended(), layer.handle().in_flight()), (1, 0, 1));
    call(&service, post("k", "")).await.is_refused(409, "in_progress");
    let drained = layer.handle().drain(S).await;
    assert_eq!(drained.running, 1);
    let drained = layer.handle().drain(60 * S).await;
    assert_eq!((drained.running, runs.ended(), layer.handle().in_flight()), (0, 1, 0));
    call(&service, post("k", "")).await.is_replayed(201, "run 1");
    assert_eq!(
        told.results(),
        [Done::InProgress, Done::Executed, Done::DetachedFinish, Done::Replayed]
    );
    assert_eq!(told.gauges(), (0, 0));
}

/// A service whose readiness and answers the test decides about, and which insists on being asked
/// before it is called.
#[derive(Clone, Default)]
struct Gate {
    open: Arc<AtomicBool>,
    called: Arc<AtomicUsize>,
    unready: Arc<AtomicUsize>,
    /// Not shared with clones.
    ready: Ready,
    waker: Arc<futures::task::AtomicWaker>,
}

#[derive(Default)]
struct Ready(bool);

impl Clone for Ready {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl Gate {
    fn opened() -> Self {
        let gate = Self::default();
        gate.open.store(true, Ordering::SeqCst);
        gate
    }

    fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    fn called(&self) -> usize {
        assert_eq!(self.unready.load(Ordering::SeqCst), 0, "called before it was ready");
        self.called.load(Ordering::SeqCst)
    }
}

impl Service<Request<Body<Sent>>> for Gate {
    type Response = Response<Sent>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Sent>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.waker.register(cx.waker());
        if !self.open.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        self.ready.0 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body<Sent>>) -> Self::Future {
        if !std::mem::take(&mut self.ready.0) {
            self.unready.fetch_add(1, Ordering::SeqCst);
        }
        let run = self.called.fetch_add(1, Ordering::SeqCst) + 1;
        async move { Ok(answer(201, &format!("run {run}"))) }.boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn the_inner_service_is_made_ready_by_those_who_run_and_by_nobody_else() {
    let store = memory();
    let gate = Gate::opened();
    let mut service = unscoped(&store).build().layer(gate.clone());
    for _ in 0..3 {
        assert!(service.ready().now_or_never().is_some());
    }
    let [pass, run, replay] = [None, Some("k"), Some("k")].map(|key| request("POST", "/", key, ""));
    for sent in [pass, run] {
        let Ok(response) = service.ready().await.unwrap().call(sent).await;
        assert_eq!(response.status(), 201);
    }
    gate.open.store(false, Ordering::SeqCst);
    assert!(service.ready().now_or_never().is_some(), "always ready");
    let Ok(response) = service.ready().await.unwrap().call(replay).await;
    Answer::of(response).await.is_replayed(201, "run 2");
    assert_eq!(gate.called(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_before_the_handler_has_started_takes_its_claim_along() {
    for on_cancel in [OnCancel::Detach, OnCancel::Release] {
        let (store, told) = (memory(), Told::default());
        let gate = Gate::default();
        let layer = unscoped(&store).on_cancel(on_cancel).observe(told.listener()).build();
        let service = layer.layer(gate.clone());
        let mut first = service.clone().oneshot(post("k", "")).boxed();
        assert!(futures::poll!(&mut first).is_pending());
        settle().await;
        assert_eq!(state(&store).await, Some(RecordState::InFlight));
        drop(first);
        settle().await;
        // At once: whoever comes next need not wait for a service that is not ready.
        assert_eq!(state(&store).await, None, "{on_cancel:?}");
        assert_eq!((layer.handle().in_flight(), gate.called(), told.gauges()), (0, 0, (0, 0)));
        assert_eq!(told.results(), [Done::Released], "it has not run to its end");
        gate.open();
        let Ok(response) = service.oneshot(post("k", "")).await;
        Answer::of(response).await.is_own(201, "run 1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_while_the_store_is_asked_takes_its_claim_along() {
    for on_cancel in [OnCancel::Detach, OnCancel::Release] {
        for fault in [Fault::Delayed(S), Fault::ReplyHangs] {
            let (store, runs) = (memory(), Runs::default());
            store.then(Op::Begin, [fault]);
            let layer = unscoped(&store).on_cancel(on_cancel).build();
            let service = plain(&layer, &runs);
            let first = begin(&service, post("k", ""));
            settle().await;
            drop(first);
            assert_eq!(layer.handle().drain(10 * S).await.running, 0);
            assert_eq!((state(&store).await, runs.started()), (None, 0), "{on_cancel:?} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn on_cancel_release_drops_the_handler_and_releases() {
    let (store, runs, told) = (memory(), Runs::default(), Told::default());
    let layer = unscoped(&store).on_cancel(OnCancel::Release).observe(told.listener()).build();
    let service = slow(&layer, &runs, 10 * S);
    let first = begin(&service, post("k", ""));
    tokio::time::sleep(S).await;
    drop(first);
    settle().await;
    assert_eq!((state(&store).await, layer.handle().in_flight()), (None, 0));
    call(&service, post("k", "")).await.is_own(201, "run 2");
    assert_eq!((runs.started(), runs.ended(), told.gauges()), (2, 1, (0, 0)));
}

/// The handler has ended: there is nothing left to interrupt, and its effects are there.
#[tokio::test(start_paused = true)]
async fn on_cancel_release_keeps_an_answer_that_is_there() {
    let (store, runs) = (memory(), Runs::default());
    store.then(Op::Complete, [Fault::Delayed(S)]);
    let layer = unscoped(&store).on_cancel(OnCancel::Release).build();
    let service = plain(&layer, &runs);
    let first = begin(&service, post("k", ""));
    settle().await;
    assert_eq!(runs.ended(), 1);
    drop(first);
    tokio::time::sleep(2 * S).await;
    call(&service, post("k", "")).await.is_replayed(201, "run 1");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_waits_no_longer() {
    for on_cancel in [OnCancel::Detach, OnCancel::Release] {
        let (store, runs, told) = (memory(), Runs::default(), Told::default());
        let wait = Concurrent::Wait { timeout: 60 * S, max_waiters: 1 };
        let layer = unscoped(&store)
            .on_concurrent(wait)
            .on_cancel(on_cancel)
            .observe(told.listener())
            .build();
        let service = slow(&layer, &runs, 10 * S);
        let first = begin(&service, post("k", ""));
        settle().await;
        let left = begin(&service, post("k", ""));
        settle().await;
        call(&service, post("k", "")).await.is_refused(409, "in_progress");
        drop(left);
        settle().await;
        assert_eq!(layer.handle().in_flight(), 1, "{on_cancel:?}");
        // Its place is free.
        let third = begin(&service, post("k", ""));
        first.await.is_own(201, "run 1");
        third.await.is_replayed(201, "run 1");
        assert_eq!((runs.started(), told.gauges()), (1, (0, 0)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_resumes_in_the_caller_with_its_payload() {
    let (store, runs, told) = (memory(), Runs::default(), Told::default());
    let layer = unscoped(&store).observe(told.listener()).build();
    let service = shop(&layer, &runs, async |work| match work.run {
        1 => std::panic::panic_any(7_u32),
        _ => answer(201, "ran"),
    });
    let payload = panic_of(call(&service, post("k", ""))).await;
    assert_eq!(payload.downcast_ref::<u32>(), Some(&7));
    assert_eq!((state(&store).await, layer.handle().in_flight(), told.gauges()), (None, 0, (0, 0)));
    call(&service, post("k", "")).await.is_own(201, "ran");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_call_and_in_readiness_releases_as_well() {
    #[derive(Clone)]
    struct Panics(bool);
    impl Service<Request<Body<Sent>>> for Panics {
        type Response = Response<Sent>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<Sent>, Infallible>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            assert!(!self.0, "in readiness");
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: Request<Body<Sent>>) -> Self::Future {
            panic!("in call")
        }
    }
    for in_readiness in [true, false] {
        let store = memory();
        let layer = unscoped(&store).build();
        let service = layer.layer(Panics(in_readiness));
        let payload = panic_of(service.oneshot(post("k", ""))).await;
        let said = *payload.downcast::<&str>().unwrap();
        assert_eq!(said, if in_readiness { "in readiness" } else { "in call" });
        assert_eq!((state(&store).await, layer.handle().in_flight()), (None, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_without_a_caller_is_nobody_elses() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = shop(&layer, &runs, async |work| {
        tokio::time::sleep(S).await;
        assert!(work.run > 1, "boom");
        answer(201, "ran")
    });
    let first = begin(&service, post("k", ""));
    settle().await;
    drop(first);
    assert_eq!(layer.handle().drain(10 * S).await.running, 0);
    assert_eq!(state(&store).await, None);
    call(&service, post("k", "")).await.is_own(201, "ran");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_outcome_policy_is_not_a_second_chance() {
    let (store, runs) = (memory(), Runs::default());
    let policy = buttress::idempotency::OutcomePolicy::new(|_, _| panic!("in the policy"));
    let layer = unscoped(&store).outcome(policy).build();
    let service = plain(&layer, &runs);
    panic_of(call(&service, post("k", ""))).await;
    settle().await;
    call(&service, post("k", "")).await.is_refused(409, "outcome_unknown");
    assert_eq!(layer.handle().in_flight(), 0);
}
