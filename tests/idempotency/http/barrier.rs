//! After `begin_effects` nothing runs again.

use buttress::idempotency::{
    Body, Context, ContextError, Disposition, OnCancel, RecordState, Store,
};
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};

use super::{
    Answer, LEASE, Runs, S, Sent, answer, begin, call, memory, panic_of, post, settle, shop, state,
    unscoped,
};
use crate::support::faulty::{Fault, Op};

#[tokio::test(start_paused = true)]
async fn after_it_no_failure_runs_again() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = shop(&layer, &runs, async |work| {
        work.context().begin_effects().await.unwrap();
        match &*work.body {
            "panic" => panic!("boom"),
            "release" => {
                let mut response = answer(201, "said");
                response.extensions_mut().insert(Disposition::Release);
                response
            }
            code => answer(code.parse().unwrap(), "said"),
        }
    });
    for code in ["500", "503", "429", "401", "release"] {
        let first = call(&service, post(code, code)).await;
        assert_eq!(first.body, "said");
        for _ in 0..2 {
            let again = call(&service, post(code, code)).await;
            again.is_refused(409, "outcome_unknown");
            assert_eq!(again.header("retry-after"), None);
        }
    }
    panic_of(call(&service, post("p", "panic"))).await;
    call(&service, post("p", "panic")).await.is_refused(409, "outcome_unknown");
    call(&service, post("p", "else")).await.is_refused(422, "fingerprint_mismatch");
    assert_eq!(runs.started(), 6);
    // What went well is an answer like any other.
    call(&service, post("ok", "201")).await.is_own(201, "said");
    call(&service, post("ok", "201")).await.is_replayed(201, "said");
}

#[tokio::test(start_paused = true)]
async fn after_it_an_error_of_the_service_is_no_second_chance() {
    let store = memory();
    let inner = service_fn(async |request: Request<Body<Sent>>| {
        let context = request.extensions().get::<Context>().unwrap().clone();
        context.begin_effects().await.unwrap();
        Err::<Response<Sent>, _>("broken")
    });
    let service = unscoped(&store).build().layer(inner);
    assert_eq!(service.clone().oneshot(post("k", "")).await.unwrap_err(), "broken");
    let again = service.oneshot(post("k", "")).await.unwrap();
    Answer::of(again).await.is_refused(409, "outcome_unknown");
}

#[tokio::test(start_paused = true)]
async fn after_it_a_handler_that_is_dropped_is_no_second_chance() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).on_cancel(OnCancel::Release).build();
    let service = shop(&layer, &runs, async |work| {
        work.context().begin_effects().await.unwrap();
        std::future::pending().await
    });
    let first = begin(&service, post("k", ""));
    settle().await;
    drop(first);
    settle().await;
    assert_eq!((runs.started(), runs.ended(), layer.handle().in_flight()), (1, 0, 0));
    call(&service, post("k", "")).await.is_refused(409, "outcome_unknown");
    assert_eq!(state(&store).await, Some(RecordState::Indeterminate));
}

#[tokio::test(start_paused = true)]
async fn after_it_a_crash_is_no_second_chance() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = shop(&layer, &runs, async |work| {
        work.context().begin_effects().await.unwrap();
        std::future::pending().await
    });
    let crashed = begin(&service, post("k", ""));
    settle().await;
    // Nothing is heard of it any more.
    store.is_down(true);
    tokio::time::sleep(LEASE + S).await;
    store.always(Op::Begin, Fault::None);
    call(&service, post("k", "")).await.is_refused(409, "outcome_unknown");
    assert_eq!(runs.started(), 1);
    drop(crashed);
}

#[tokio::test(start_paused = true)]
async fn where_the_store_is_down_the_handler_must_not_go_on() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = shop(&layer, &runs, async |work| match work.context().begin_effects().await {
        Ok(()) => answer(201, "done"),
        Err(ContextError::Store(_)) => answer(503, "not begun"),
        Err(_) => answer(409, "lost"),
    });
    for fault in [Fault::Refused, Fault::Hangs, Fault::Misconfigured] {
        store.always(Op::MarkEffects, fault);
        call(&service, post("k", "")).await.is_own(503, "not begun");
        assert_eq!(state(&store).await, None, "{fault:?}");
    }
    // A reply that is lost is asked for again.
    let store = memory();
    store.then(Op::MarkEffects, [Fault::ReplyLost, Fault::ReplyHangs]);
    let service = shop(&unscoped(&store).build(), &runs, async |work| {
        work.context().begin_effects().await.unwrap();
        answer(500, "failed")
    });
    call(&service, post("k", "")).await.is_own(500, "failed");
    call(&service, post("k", "")).await.is_refused(409, "outcome_unknown");
}

#[tokio::test(start_paused = true)]
async fn a_lost_claim_is_told_before_the_effect() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let admin = store.clone();
    let service = shop(&layer, &runs, move |work: super::Work| {
        let admin = admin.clone();
        async move {
            let context = work.context();
            context.check().await.unwrap();
            assert!(!context.lost().is_cancelled());
            admin.forget(&admin.last_key()).await.unwrap();
            assert!(matches!(context.check().await, Err(ContextError::Lost)));
            assert!(matches!(context.begin_effects().await, Err(ContextError::Lost)));
            assert!(context.lost().is_cancelled());
            answer(500, "stopped")
        }
    });
    call(&service, post("k", "")).await.is_own(500, "stopped");
    assert_eq!(state(&store).await, None);
}

#[tokio::test(start_paused = true)]
async fn check_extends_the_lease() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = shop(&layer, &runs, async |work| {
        work.context().check().await.unwrap();
        answer(201, "done")
    });
    call(&service, post("k", "")).await.is_own(201, "done");
    assert_eq!(store.calls(Op::Renew), 1);
}

#[tokio::test(start_paused = true)]
async fn a_downstream_key_is_the_same_for_each_execution_and_another_for_each_step() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = shop(&layer, &runs, async |work| {
        let [charge, mail] = ["charge", "mail"].map(|step| work.context().downstream_key(step));
        assert_ne!(charge, mail);
        assert!(charge.len() == 64 && charge.bytes().all(|byte| byte.is_ascii_hexdigit()));
        answer(500, &charge)
    });
    let first = call(&service, post("SECRETKEY", "")).await;
    assert_eq!(call(&service, post("SECRETKEY", "")).await.body, first.body);
    assert_ne!(call(&service, post("other", "")).await.body, first.body);
}
