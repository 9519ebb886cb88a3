//! What holds when everybody asks at once. On a runtime with several threads they really do.

#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "the name of a clause is its sentence, and each panics where it does not hold"
)]

use std::future::Future;
use std::sync::Arc;

use super::bench::{duplicate, lapsing, outcome, request};
use crate::idempotency::{Begin, BeginRequest, Fenced, Store, StoredOutcome};
use crate::sim::store_contract::Bench;

const MANY: usize = 32;

/// The answers to calls that run at once.
async fn at_once<T, F>(calls: impl Iterator<Item = F>) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let tasks: Vec<_> = calls.map(tokio::spawn).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.expect("a call that does not panic"));
    }
    answers
}

/// One of them acquires, and the others are told that it runs.
async fn one_acquires<S: Store>(bench: &Bench<S>, request: &BeginRequest, attempt: u32) {
    let answers = at_once((0..MANY).map(|_| {
        let (store, request) = (Arc::clone(&bench.store), duplicate(request));
        async move { store.begin(request).await.unwrap() }
    }))
    .await;
    let mut claims = Vec::new();
    for answer in answers {
        match answer {
            Begin::Acquired(claim) => claims.push(claim),
            Begin::InProgress { attempt: theirs, .. } => assert_eq!(theirs, attempt),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(claims.len(), 1, "{claims:?}");
    assert_eq!(claims[0].attempt, attempt);
    assert_eq!(bench.complete(&claims[0], outcome()).await, Fenced::Applied);
}

pub async fn of_32_that_begin_at_once_one_acquires<S: Store>(bench: &Bench<S>) {
    for _ in 0..4 {
        one_acquires(bench, &request(), 1).await;
    }
}

pub async fn of_32_that_take_over_at_once_one_acquires<S: Store>(bench: &Bench<S>) {
    for _ in 0..4 {
        let request = request();
        bench.acquire(&BeginRequest { lease: lapsing().lease, ..request.clone() }).await;
        one_acquires(bench, &request, 2).await;
    }
}

pub async fn of_32_completions_of_one_claim_the_first_is_kept<S: Store>(bench: &Bench<S>) {
    let request = request();
    let claim = Arc::new(bench.acquire(&request).await);
    let retention = request.retention;
    let answers = at_once((0..MANY).map(|n| {
        let (store, claim) = (Arc::clone(&bench.store), Arc::clone(&claim));
        let outcome = StoredOutcome::new(200, format!("the {n}th answer"));
        async move { store.complete(&claim, outcome, retention).await.unwrap() }
    }))
    .await;
    assert!(answers.iter().all(|answer| *answer == Fenced::Applied));
    let Begin::Completed(first) = bench.begin(&duplicate(&request)).await else {
        panic!("the record is not complete")
    };
    for _ in 0..3 {
        assert_eq!(bench.begin(&duplicate(&request)).await, Begin::Completed(first.clone()));
    }
}

pub async fn keys_do_not_touch_each_other<S: Store>(bench: &Bench<S>) {
    let answers = at_once((0..MANY).map(|n| {
        let (store, request) = (Arc::clone(&bench.store), request());
        async move {
            let outcome = StoredOutcome::new(200, format!("the answer of {n}"));
            let claim = Bench::<S>::acquired(store.begin(request.clone()).await.unwrap());
            let kept = store.complete(&claim, outcome.clone(), request.retention).await.unwrap();
            assert_eq!(kept, Fenced::Applied);
            (request, outcome)
        }
    }))
    .await;
    for (request, outcome) in answers {
        assert_eq!(bench.begin(&duplicate(&request)).await, Begin::Completed(outcome));
    }
}
