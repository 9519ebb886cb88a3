//! Stores that fail.

use buttress::idempotency::{Concurrent, OnStoreError, RecordState, Store};
use buttress::observe::IdempotencyResult as Done;

use super::{
    LEASE, Runs, S, Told, answer, begin, call, memory, plain, post, settle, shop, slow, state,
    unscoped,
};
use crate::support::faulty::{ERROR_TEXT, Fault, Op};

/// Scenario 36, the default.
#[tokio::test(start_paused = true)]
async fn without_a_store_nothing_runs() {
    for fault in [Fault::Refused, Fault::Hangs, Fault::Misconfigured] {
        let (store, runs) = (memory(), Runs::default());
        store.always(Op::Begin, fault);
        let layer = unscoped(&store).build();
        let service = plain(&layer, &runs);
        let refused = call(&service, post("k", "")).await;
        refused.is_refused(503, "store_unavailable");
        assert_eq!((refused.header("retry-after"), runs.started()), (Some("1"), 0));
        assert!(!refused.body.contains(ERROR_TEXT));
        store.always(Op::Begin, Fault::None);
        tokio::time::sleep(2 * S).await;
        call(&service, post("k", "")).await.is_own(201, "run 1");
    }
}

/// Scenario 36, the other policy.
#[tokio::test(start_paused = true)]
async fn without_a_store_everything_runs_where_that_is_the_policy() {
    let (store, runs, told) = (memory(), Runs::default(), Told::default());
    store.is_down(true);
    let layer =
        unscoped(&store).on_store_error(OnStoreError::FailOpen).observe(told.listener()).build();
    let service = plain(&layer, &runs);
    call(&service, post("k", "")).await.is_own(201, "run 1");
    call(&service, post("k", "")).await.is_own(201, "run 2");
    // Not in silence.
    assert_eq!(told.results(), [Done::StoreError, Done::Bypass, Done::StoreError, Done::Bypass]);
    store.is_down(false);
    tokio::time::sleep(2 * S).await;
    call(&service, post("k", "")).await.is_own(201, "run 3");
    call(&service, post("k", "")).await.is_replayed(201, "run 3");
}

#[tokio::test(start_paused = true)]
async fn a_store_without_room_or_sense_is_no_reason_to_run_unprotected() {
    for (fault, code) in [(Fault::Full, "store_full"), (Fault::Misconfigured, "store_unavailable")]
    {
        let (store, runs) = (memory(), Runs::default());
        store.always(Op::Begin, fault);
        let layer = unscoped(&store).on_store_error(OnStoreError::FailOpen).build();
        let refused = call(&plain(&layer, &runs), post("k", "")).await;
        refused.is_refused(503, code);
        assert_eq!((refused.header("retry-after"), runs.started()), (Some("1"), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_to_begin_does_not_shut_its_own_request_out() {
    for fault in [Fault::ReplyLost, Fault::ReplyHangs, Fault::Refused] {
        let (store, runs) = (memory(), Runs::default());
        store.then(Op::Begin, [fault, fault]);
        let layer = unscoped(&store).build();
        call(&plain(&layer, &runs), post("k", "")).await.is_own(201, "run 1");
        assert_eq!((store.calls(Op::Begin), runs.started()), (3, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_nobody_heard_of_is_given_back() {
    let (store, runs) = (memory(), Runs::default());
    store.then(Op::Begin, [Fault::ReplyLost; 4]);
    let layer = unscoped(&store).build();
    let service = plain(&layer, &runs);
    call(&service, post("k", "")).await.is_refused(503, "store_unavailable");
    assert_eq!(state(&store).await, Some(RecordState::InFlight));
    tokio::time::sleep(5 * S).await;
    assert_eq!((state(&store).await, layer.handle().drain(S).await.running), (None, 0));
    call(&service, post("k", "")).await.is_own(201, "run 1");
}

/// The client has its answer; everybody else has to wait until the store has it too.
#[tokio::test(start_paused = true)]
async fn an_answer_that_could_not_be_stored_is_stored_later() {
    for fault in [Fault::Refused, Fault::Hangs, Fault::Misconfigured] {
        let (store, runs, told) = (memory(), Runs::default(), Told::default());
        let layer = unscoped(&store).observe(told.listener()).build();
        let service = plain(&layer, &runs);
        store.always(Op::Complete, fault);
        call(&service, post("k", "")).await.is_own(201, "run 1");
        assert_eq!(layer.handle().in_flight(), 0);
        // Its claim is renewed meanwhile.
        for _ in 0..5 {
            tokio::time::sleep(LEASE).await;
            call(&service, post("k", "")).await.is_refused(409, "in_progress");
        }
        assert_eq!(layer.handle().drain(S).await.running, 1);
        store.always(Op::Complete, Fault::None);
        assert_eq!(layer.handle().drain(10 * S).await.running, 0);
        call(&service, post("k", "")).await.is_replayed(201, "run 1");
        assert_eq!(runs.started(), 1);
        assert_eq!(told.gauges(), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_stored_later_until_max_execution_and_no_longer() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).max_execution(5 * LEASE).build();
    let service = plain(&layer, &runs);
    store.always(Op::Complete, Fault::Refused);
    call(&service, post("k", "")).await.is_own(201, "run 1");
    assert_eq!(layer.handle().drain(6 * LEASE).await.running, 0);
    tokio::time::sleep(LEASE).await;
    store.always(Op::Complete, Fault::None);
    call(&service, post("k", "")).await.is_own(201, "run 2");
}

/// Scenario 33: the record is complete, and nobody has told the layer so.
#[tokio::test(start_paused = true)]
async fn a_reply_lost_after_the_commit_leaves_one_effect_for_each_key() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = plain(&layer, &runs);
    for key in 0..20 {
        let key = format!("k{key}");
        let before = runs.started();
        let fault = if key.len() == 2 { Fault::ReplyLost } else { Fault::ReplyHangs };
        store.then(Op::Complete, [fault]);
        let own = call(&service, post(&key, "")).await;
        own.is_own(201, &format!("run {}", before + 1));
        for _ in 0..3 {
            call(&service, post(&key, "")).await.is_replayed(201, &own.body);
        }
        assert_eq!(layer.handle().drain(10 * S).await.running, 0);
        assert_eq!(runs.started(), before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_did_not_get_there_is_repeated() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = shop(&layer, &runs, async |work| match work.run {
        1 => answer(500, "failed"),
        _ => answer(201, "ran"),
    });
    store.then(Op::Abandon, [Fault::Refused, Fault::Hangs]);
    call(&service, post("k", "")).await.is_own(500, "failed");
    call(&service, post("k", "")).await.is_refused(409, "in_progress");
    assert_eq!(layer.handle().drain(20 * S).await.running, 0);
    call(&service, post("k", "")).await.is_own(201, "ran");
}

/// D17: the claim was lost, the key is free, it was claimed anew, and then the store went away.
#[tokio::test(start_paused = true)]
async fn an_answer_under_a_claim_made_anew_is_stored_later_as_well() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = slow(&layer, &runs, S);
    let first = begin(&service, post("k", ""));
    settle().await;
    store.forget(&store.last_key()).await.unwrap();
    store.then(Op::Complete, [Fault::None, Fault::Refused, Fault::Refused, Fault::Refused]);
    first.await.is_own(201, "run 1");
    call(&service, post("k", "")).await.is_refused(409, "in_progress");
    assert_eq!(layer.handle().drain(20 * S).await.running, 0);
    call(&service, post("k", "")).await.is_replayed(201, "run 1");
}

/// What a record that cannot be read says: it ran.
#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_not_run_again() {
    use buttress::idempotency::{Begin, BeginRequest, OwnerId, StoredOutcome};
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).on_store_error(OnStoreError::FailOpen).build();
    let service = plain(&layer, &runs);
    call(&service, post("k", "")).await.is_own(201, "run 1");
    let key = store.last_key();
    store.inner.forget(&key).await.unwrap();
    for outcome in [StoredOutcome::new(201, "no format 1"), {
        let mut newer = StoredOutcome::new(201, "x");
        newer.format = 2;
        newer
    }] {
        let print = store.last_fingerprint();
        let request = BeginRequest::new(key, print, OwnerId::random(), LEASE, 100 * LEASE);
        let Begin::Acquired(claim) = store.inner.begin(request).await.unwrap() else { panic!() };
        let _ = store.inner.complete(&claim, outcome, 100 * LEASE).await.unwrap();
        let refused = call(&service, post("k", "")).await;
        refused.is_refused(503, "store_unavailable");
        assert!(!refused.body.contains("was not run"), "{}", refused.body);
        store.inner.forget(&key).await.unwrap();
    }
    assert_eq!(runs.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_outlasts_a_hiccup_of_the_store() {
    let (store, runs) = (memory(), Runs::default());
    let wait = Concurrent::Wait { timeout: 60 * S, max_waiters: 9 };
    let service = slow(&unscoped(&store).on_concurrent(wait).build(), &runs, 10 * S);
    let first = begin(&service, post("k", ""));
    settle().await;
    store.then(Op::Begin, [Fault::None, Fault::Refused, Fault::ReplyLost]);
    let waiting = begin(&service, post("k", ""));
    first.await.is_own(201, "run 1");
    waiting.await.is_replayed(201, "run 1");
}
