//! Several requests with one key at once.

use buttress::idempotency::{Concurrent, RecordState};
use futures::future::join_all;
use http::StatusCode;

use super::{
    LEASE, Runs, S, Told, answer, begin, call, memory, plain, post, settle, shop, slow, state,
    unscoped,
};
use crate::support::faulty::{Fault, Op};

fn wait(timeout: std::time::Duration, max_waiters: usize) -> Concurrent {
    Concurrent::Wait { timeout, max_waiters }
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_refused_while_the_first_runs() {
    let (store, runs) = (memory(), Runs::default());
    let service = slow(&unscoped(&store).build(), &runs, 10 * S);
    let first = begin(&service, post("k", ""));
    settle().await;
    let refused = call(&service, post("k", "")).await;
    refused.is_refused(409, "in_progress");
    assert_eq!(refused.header("retry-after"), Some("1"));
    first.await.is_own(201, "run 1");
    call(&service, post("k", "")).await.is_replayed(201, "run 1");

    let later = unscoped(&store).on_concurrent(Concurrent::Reject { retry_after: 9 });
    let service = slow(&later.build(), &runs, 10 * S);
    let _first = begin(&service, post("l", ""));
    settle().await;
    assert_eq!(call(&service, post("l", "")).await.header("retry-after"), Some("9"));
}

#[tokio::test(start_paused = true)]
async fn a_mismatch_comes_before_everything_else() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).on_concurrent(wait(60 * S, 9)).build();
    let service = shop(&layer, &runs, async |work| {
        tokio::time::sleep(S).await;
        if work.body == "unknown" {
            work.context().begin_effects().await.unwrap();
            return answer(500, "failed");
        }
        answer(201, "ran")
    });
    let mismatch = async |key| {
        let since = tokio::time::Instant::now();
        call(&service, post(key, "else")).await.is_refused(422, "fingerprint_mismatch");
        assert_eq!(since.elapsed(), std::time::Duration::ZERO, "it waits for nobody");
    };
    let running = begin(&service, post("k", "x"));
    settle().await;
    mismatch("k").await;
    running.await.is_own(201, "ran");
    mismatch("k").await;
    call(&service, post("u", "unknown")).await.is_own(500, "failed");
    mismatch("u").await;
    // Also after a crash.
    let crashed = begin(&service, post("c", "x"));
    settle().await;
    store.is_down(true);
    tokio::time::sleep(LEASE + S).await;
    store.always(Op::Begin, Fault::None);
    mismatch("c").await;
    drop(crashed);
}

#[tokio::test(start_paused = true)]
async fn a_mismatch_can_have_another_status() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).mismatch_status(StatusCode::BAD_REQUEST).build();
    let service = plain(&layer, &runs);
    call(&service, post("k", "x")).await;
    let refused = call(&service, post("k", "y")).await;
    refused.is_refused(400, "fingerprint_mismatch");
    assert!(refused.body.contains("\"status\":400"));
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_get_the_same_answer() {
    let (store, runs, told) = (memory(), Runs::default(), Told::default());
    let layer = unscoped(&store).on_concurrent(wait(60 * S, 100)).observe(told.listener()).build();
    let service = slow(&layer, &runs, 10 * S);
    let first = begin(&service, post("k", ""));
    settle().await;
    let waiting: Vec<_> = (0..99).map(|_| begin(&service, post("k", ""))).collect();
    let since = tokio::time::Instant::now();
    settle().await;
    assert_eq!(told.gauges(), (1, 99));
    first.await.is_own(201, "run 1");
    for waited in join_all(waiting).await {
        waited.is_replayed(201, "run 1");
    }
    assert_eq!(since.elapsed(), 10 * S);
    assert_eq!((runs.started(), told.gauges()), (1, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn after_a_release_exactly_one_of_those_who_wait_takes_over() {
    let (store, runs, told) = (memory(), Runs::default(), Told::default());
    let layer = unscoped(&store).on_concurrent(wait(60 * S, 100)).observe(told.listener()).build();
    let service = shop(&layer, &runs, async |work| {
        tokio::time::sleep(S).await;
        assert!(work.run != 2, "boom");
        answer(if work.run == 1 { 500 } else { 201 }, &format!("run {}", work.run))
    });
    let calls = (0..20).map(|_| {
        let service = service.clone();
        tokio::spawn(async move { call(&service, post("k", "")).await })
    });
    let mut answers = Vec::new();
    for call in join_all(calls.collect::<Vec<_>>()).await {
        match call {
            Ok(answer) => answers.push((answer.status, answer.is_replay())),
            Err(error) => assert!(error.is_panic()),
        }
    }
    answers.sort_unstable();
    assert_eq!((runs.started(), answers.len()), (3, 19));
    assert_eq!(answers[0], (201, false));
    assert_eq!(answers[1..18], [(201, true); 17]);
    assert_eq!(answers[18], (500, false));
    assert_eq!(told.gauges(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_in_time_and_too_many_do_not_wait() {
    let (store, runs, told) = (memory(), Runs::default(), Told::default());
    let layer = unscoped(&store).on_concurrent(wait(5 * S, 2)).observe(told.listener()).build();
    let service = slow(&layer, &runs, 60 * S);
    let first = begin(&service, post("k", ""));
    settle().await;
    let since = tokio::time::Instant::now();
    let waiting = [0; 2].map(|_| begin(&service, post("k", "")));
    settle().await;
    call(&service, post("k", "")).await.is_refused(409, "in_progress");
    assert_eq!(since.elapsed(), std::time::Duration::ZERO);
    for waited in join_all(waiting).await {
        waited.is_refused(409, "in_progress");
        assert_eq!(waited.header("retry-after"), Some("1"));
    }
    assert_eq!(since.elapsed(), 5 * S);
    // Each key has places of its own, and those that were left are free.
    let other = begin(&service, post("l", ""));
    settle().await;
    let _third = begin(&service, post("l", ""));
    let _fourth = begin(&service, post("k", ""));
    drop((first, other));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_lapses_while_somebody_waits_is_taken_over() {
    let (store, runs, told) = (memory(), Runs::default(), Told::default());
    let layer = unscoped(&store).on_concurrent(wait(300 * S, 9)).observe(told.listener()).build();
    let service = shop(&layer, &runs, async |work| {
        if work.run == 1 {
            return std::future::pending().await;
        }
        assert!(work.context().is_takeover());
        answer(201, "taken over")
    });
    let crashed = begin(&service, post("k", ""));
    settle().await;
    store.always(Op::Renew, Fault::Refused);
    let since = tokio::time::Instant::now();
    let waiting: Vec<_> = (0..5).map(|_| begin(&service, post("k", ""))).collect();
    let answers = join_all(waiting).await;
    assert!(since.elapsed() <= LEASE + S, "{:?}", since.elapsed());
    assert_eq!(answers.iter().filter(|answer| answer.is_replay()).count(), 4);
    assert_eq!((runs.started(), state(&store).await), (2, Some(RecordState::Completed)));
    drop(crashed);
}

/// Somebody else is known to run it: to run it as well, because the store is gone by now, would be
/// what the key is there to prevent.
#[tokio::test(start_paused = true)]
async fn who_waits_does_not_run_unprotected_when_the_store_goes_away() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store)
        .on_concurrent(wait(60 * S, 9))
        .on_store_error(buttress::idempotency::OnStoreError::FailOpen)
        .build();
    let service = slow(&layer, &runs, 10 * S);
    let first = begin(&service, post("k", ""));
    settle().await;
    let waiting = begin(&service, post("k", ""));
    settle().await;
    store.always(Op::Begin, Fault::Refused);
    first.await.is_own(201, "run 1");
    waiting.await.is_refused(503, "store_unavailable");
    assert_eq!(runs.started(), 1);
}

/// Scenario 34.
#[tokio::test(start_paused = true)]
async fn of_a_hundred_concurrent_duplicates_one_runs_and_nobody_hangs() {
    for on_concurrent in [Concurrent::default(), wait(60 * S, 100)] {
        let (store, runs) = (memory(), Runs::default());
        let layer = unscoped(&store).on_concurrent(on_concurrent).build();
        let service = slow(&layer, &runs, S);
        let calls = (0..100).map(|_| {
            let service = service.clone();
            tokio::spawn(async move { call(&service, post("k", "")).await })
        });
        let calls: Vec<_> = calls.collect();
        let answers = tokio::time::timeout(100 * S, join_all(calls)).await.expect("nobody hangs");
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        let own = |answer: &&super::Answer| answer.status == 201 && !answer.is_replay();
        assert_eq!((runs.started(), answers.iter().filter(own).count()), (1, 1));
        let refused = answers.iter().filter(|answer| answer.status == 409).count();
        assert_eq!(refused, if on_concurrent == Concurrent::default() { 99 } else { 0 });
        assert_eq!(layer.handle().in_flight(), 0);
    }
}
