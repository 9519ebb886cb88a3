//! Many callers with one key at once, at three instances over one store: one of them runs.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use buttress::idempotency::{Concurrent, DynStore, IdempotencyLayer};
use futures::future::join_all;
use http::{Request, Response};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

use super::place::{self, Place};
use super::watched::Watched;

const KEYS: usize = 200;
const CALLERS: usize = 32;
const INSTANCES: usize = 3;
/// How many keys are raced for at once.
const AT_ONCE: usize = 25;

/// For one key, the number of executions, and what the callers were told: `None` is that it is in
/// progress.
type Raced = (usize, BTreeSet<Option<String>>);

async fn race(layers: Arc<Vec<IdempotencyLayer<Watched>>>, key: usize) -> Raced {
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&executions);
    let handler = service_fn(move |_: Request<_>| {
        let execution = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            sleep(Duration::from_millis(2)).await;
            Ok::<_, Infallible>(Response::new(Body::from(format!("{key}, execution {execution}"))))
        }
    });
    let callers = (0..CALLERS).map(|caller| {
        let service = layers[caller % INSTANCES].layer(handler.clone());
        let request = Request::post("/orders").header("idempotency-key", format!("k{key}"));
        let answer = service.oneshot(request.body(Body::from("tea")).unwrap());
        tokio::spawn(async move {
            let answer = answer.await.unwrap();
            match answer.status().as_u16() {
                200 => {
                    let body = to_bytes(Body::new(answer.into_body()), usize::MAX).await.unwrap();
                    Some(String::from_utf8(body.to_vec()).unwrap())
                }
                409 if answer.headers()["buttress-refusal"] == "in_progress" => None,
                other => panic!("{other}"),
            }
        })
    });
    let told = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    (executions.load(Ordering::SeqCst), told)
}

async fn all_races(name: &str, store: Arc<dyn DynStore>, on_concurrent: Concurrent) -> Vec<Raced> {
    let layer = || {
        let layer = IdempotencyLayer::builder(Watched::new(Arc::clone(&store))).unscoped();
        layer
            .lease(Duration::from_secs(30))
            .store_timeout(Duration::from_secs(10))
            .on_concurrent(on_concurrent)
            .build()
    };
    let layers: Arc<Vec<_>> = Arc::new((0..INSTANCES).map(|_| layer()).collect());
    let since = Instant::now();
    let mut raced = Vec::new();
    for first in (0..KEYS).step_by(AT_ONCE) {
        let keys = first..KEYS.min(first + AT_ONCE);
        raced.extend(join_all(keys.map(|key| race(Arc::clone(&layers), key))).await);
    }
    let executions: usize = raced.iter().map(|race| race.0).sum();
    println!(
        "{name}, {on_concurrent:?}: {KEYS} keys x {CALLERS} callers x {INSTANCES} instances: \
         {executions} executions in {:?}",
        since.elapsed()
    );
    raced
}

async fn one_execution_each(name: &str, store: Arc<dyn DynStore>) {
    let wait = Concurrent::Wait { timeout: Duration::from_secs(20), max_waiters: CALLERS };
    for (key, (executions, told)) in all_races(name, store, wait).await.into_iter().enumerate() {
        assert_eq!(executions, 1, "of key {key}");
        assert_eq!(told, [Some(format!("{key}, execution 0"))].into(), "all have the one answer");
    }
}

async fn one_execution_and_refusals(name: &str, store: Arc<dyn DynStore>) {
    let reject = Concurrent::Reject { retry_after: 1 };
    let mut refused = 0;
    for (key, (executions, told)) in all_races(name, store, reject).await.into_iter().enumerate() {
        assert_eq!(executions, 1, "of key {key}");
        let answer = Some(format!("{key}, execution 0"));
        assert!(told.contains(&answer), "whoever ran has its answer");
        refused += usize::from(told.contains(&None));
        assert!(told.iter().all(|told| told.is_none() || *told == answer), "{told:?}");
    }
    assert!(refused > 0, "nobody met anybody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_who_race_for_a_key_in_memory_one_runs() {
    one_execution_each("memory", place::memory()).await;
    one_execution_and_refusals("memory", place::memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_who_race_for_a_key_in_redis_one_runs() {
    let store = async || Place::redis().open(Duration::from_secs(10)).await;
    one_execution_each("Redis", store().await).await;
    one_execution_and_refusals("Redis", store().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_who_race_for_a_key_in_postgresql_one_runs() {
    let store = async || Place::postgres().await.open(Duration::from_secs(10)).await;
    one_execution_each("PostgreSQL", store().await).await;
    one_execution_and_refusals("PostgreSQL", store().await).await;
}
