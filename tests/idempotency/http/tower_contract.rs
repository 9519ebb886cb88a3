//! What tower asks of every service, and drops at any time.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;

use buttress::idempotency::{Body, Concurrent, OnCancel, RecordState};
use futures::FutureExt;
use futures::future::join_all;
use http::Request;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tower::buffer::BufferLayer;
use tower::limit::ConcurrencyLimitLayer;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::{
    Answer, MS, Runs, S, Sent, Told, answer, begin, call, memory, plain, post, settle, shop, slow,
    state, unscoped,
};
use crate::support::faulty::{Fault, Op};

#[tokio::test(start_paused = true)]
async fn replays_and_refusals_take_no_capacity_inside() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let inner = runs.clone();
    let handler = service_fn(move |_: Request<Body<Sent>>| {
        let run = inner.start();
        async move {
            tokio::time::sleep(10 * S).await;
            Ok::<_, Infallible>(answer(201, &format!("run {run}")))
        }
    });
    let service = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(handler);
    let boxed = tower::util::BoxCloneSyncService::new(service);
    call(&boxed, post("done", "")).await.is_own(201, "run 1");
    let held = begin(&boxed, post("k", ""));
    settle().await;
    call(&boxed, post("done", "")).await.is_replayed(201, "run 1");
    call(&boxed, post("k", "")).await.is_refused(409, "in_progress");
    call(&boxed, post("done", "else")).await.is_refused(422, "fingerprint_mismatch");
    held.await.is_own(201, "run 2");
}

#[tokio::test(start_paused = true)]
async fn works_around_a_buffer_and_behind_one() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let inner = runs.clone();
    let handler = service_fn(move |_: Request<Body<Sent>>| {
        let run = inner.start();
        async move { Ok::<_, Infallible>(answer(201, &format!("run {run}"))) }
    });
    let around = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(BufferLayer::new(1))
        .service(handler.clone());
    let behind = ServiceBuilder::new().layer(BufferLayer::new(1)).layer(layer).service(handler);
    let first = around.clone().oneshot(post("k", "")).await.unwrap();
    Answer::of(first).await.is_own(201, "run 1");
    let again = around.oneshot(post("k", "")).await.unwrap();
    Answer::of(again).await.is_replayed(201, "run 1");
    let again = behind.oneshot(post("k", "")).await.unwrap();
    Answer::of(again).await.is_replayed(201, "run 1");
}

#[tokio::test(start_paused = true)]
async fn all_services_of_one_layer_share_its_state() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).max_in_flight(2).build();
    let services = [0; 2].map(|_| slow(&layer, &runs, S));
    let held = [0, 1].map(|at| begin(&services[at], post(&format!("k{at}"), "")));
    settle().await;
    assert_eq!(layer.handle().in_flight(), 2);
    let refused = call(&services[0].clone(), post("other", "")).await;
    refused.is_refused(503, "overloaded");
    assert_eq!(refused.header("retry-after"), Some("1"));
    join_all(held).await;
    assert_eq!(layer.handle().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn ready_and_dropped_leaves_nothing_behind() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).max_in_flight(1).build();
    for _ in 0..10 {
        plain(&layer, &runs).ready().await.unwrap();
        drop(plain(&layer, &runs).oneshot(post("unpolled", "")));
    }
    assert_eq!((layer.handle().in_flight(), store.calls(Op::Begin)), (0, 0));
    call(&plain(&layer, &runs), post("k", "")).await.is_own(201, "run 1");
}

/// Polls a call so many times, with what else runs in between, and drops it.
async fn cut(call: impl Future, polls: usize) -> bool {
    let mut call = pin!(call);
    for _ in 0..polls {
        if futures::poll!(&mut call).is_ready() {
            return true;
        }
        tokio::time::sleep(MS).await;
    }
    false
}

#[tokio::test(start_paused = true)]
async fn a_drop_at_any_poll_leaves_nothing_behind() {
    for on_cancel in [OnCancel::Detach, OnCancel::Release] {
        for polls in 0..12 {
            let (store, runs, told) = (memory(), Runs::default(), Told::default());
            for op in [Op::Begin, Op::Complete, Op::Abandon] {
                store.always(op, Fault::Delayed(2 * MS));
            }
            let layer = unscoped(&store).on_cancel(on_cancel).observe(told.listener()).build();
            let service = slow(&layer, &runs, 2 * MS);
            let ended = cut(call(&service, post("k", "")), polls).await;
            assert_eq!(layer.handle().drain(S).await.running, 0);
            assert_eq!((layer.handle().in_flight(), told.gauges()), (0, (0, 0)), "{polls}");
            let left = state(&store).await_or_none(polls).await;
            assert_ne!(left, Some(RecordState::InFlight), "{on_cancel:?} {polls}");
            if ended {
                assert_eq!(left, Some(RecordState::Completed));
            }
        }
    }
}

/// Nobody has asked the store where the call was never polled.
trait AwaitOrNone<T>: Future<Output = Option<T>> + Sized {
    async fn await_or_none(self, polls: usize) -> Option<T> {
        if polls == 0 { None } else { self.await }
    }
}

impl<T, F: Future<Output = Option<T>>> AwaitOrNone<T> for F {}

#[tokio::test(start_paused = true)]
async fn a_thousand_random_drops_leave_nothing_in_flight() {
    let mut rng = SmallRng::seed_from_u64(7);
    let (store, runs, told) = (memory(), Runs::default(), Told::default());
    let layer = unscoped(&store)
        .on_concurrent(Concurrent::Wait { timeout: S, max_waiters: 3 })
        .observe(told.listener())
        .build();
    for op in [Op::Begin, Op::Complete, Op::Abandon] {
        store.always(op, Fault::Delayed(MS));
    }
    let service = shop(&layer, &runs, async |work| {
        tokio::time::sleep(3 * MS).await;
        assert!(work.run % 7 != 0, "boom");
        answer(if work.run % 5 == 0 { 500 } else { 201 }, "ran")
    });
    let mut calls = Vec::new();
    for _ in 0..1000 {
        let (service, key) = (service.clone(), rng.random_range(0..50));
        let polls = rng.random_range(0..12);
        calls.push(tokio::spawn(async move {
            cut(call(&service, post(&format!("k{key}"), "")), polls).await;
        }));
        if rng.random_bool(0.3) {
            tokio::time::sleep(MS).await;
        }
    }
    join_all(calls).await;
    assert_eq!(layer.handle().drain(60 * S).await.running, 0);
    assert_eq!((layer.handle().in_flight(), told.gauges()), (0, (0, 0)));
    assert!(runs.started() > 50);
    for key in 0..50 {
        let last = panic_free(&service, key).await;
        assert!(last.status == 201 || last.status == 500, "{last:?}");
    }
}

async fn panic_free(service: &super::Shop<Sent>, key: usize) -> Answer {
    use std::panic::AssertUnwindSafe;
    loop {
        let call = AssertUnwindSafe(call(service, post(&format!("k{key}"), ""))).catch_unwind();
        if let Ok(answer) = call.await {
            return answer;
        }
    }
}
