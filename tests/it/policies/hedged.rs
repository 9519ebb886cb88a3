//! The policies in a `HedgeLayer`: whoever is sent twice must be fit for that before any outcome.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::hedge::{Delay, HedgeLayer};
use buttress::http::{ReplayBody, RetryPolicy};
use buttress::observe::{EventKind, Withheld};
use buttress::retry::Policy;
use buttress::{BoxError, grpc};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use tower::{ServiceBuilder, ServiceExt};

use crate::support::Ledger;

const MS: Duration = Duration::from_millis(1);

fn layer<P>(policy: P, ledger: &Ledger) -> HedgeLayer<P> {
    HedgeLayer::builder(policy).delay(Delay::Fixed(10 * MS)).observe(ledger.clone()).build()
}

/// How often a request that is answered late is sent.
async fn sent<P, Req, T, E>(policy: P, request: Req, answer: fn() -> Result<T, E>) -> usize
where
    P: Policy<Req, T, E>,
    E: buttress::Rejectable + std::fmt::Debug,
{
    let (sent, ledger) = (Mutex::new(0), Ledger::default());
    let service = tower::service_fn(|_: Req| {
        *sent.lock().unwrap() += 1;
        async move {
            tokio::time::sleep(50 * MS).await;
            answer()
        }
    });
    let _ = tower::Layer::layer(&layer(policy, &ledger), service).oneshot(request).await;
    sent.into_inner().unwrap()
}

fn http(method: &str, key: bool) -> Request<&'static str> {
    let request = Request::builder().method(method).uri("http://host/pkg.Things/Put");
    let request = if key { request.header("idempotency-key", "\"1\"") } else { request };
    request.body("text").unwrap()
}

async fn http_sent(
    policy: impl Policy<Request<&'static str>, Response<()>, BoxError>,
    request: Request<&'static str>,
) -> usize {
    sent(policy, request, || Ok(Response::new(()))).await
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_take_effect_only_once_is_never_sent_beside_another() {
    for (method, times) in [("GET", 2), ("PUT", 2), ("DELETE", 2), ("POST", 1), ("PATCH", 1)] {
        assert_eq!(http_sent(RetryPolicy::new(), http(method, false)).await, times, "{method}");
        assert_eq!(http_sent(RetryPolicy::new(), http(method, true)).await, 2, "{method}");
    }
    let stamps = RetryPolicy::new().stamp_idempotency_keys();
    assert_eq!(http_sent(stamps, http("POST", false)).await, 2);
    let reset = || Err::<Response<()>, BoxError>("connection reset".into());
    assert_eq!(sent(RetryPolicy::new(), http("POST", false), reset).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_grpc_is_hedged_if_it_is_declared_idempotent() {
    use grpc::RetryPolicy;

    let ask = || http("POST", false);
    assert_eq!(http_sent(RetryPolicy::new(), ask()).await, 1);
    assert_eq!(http_sent(RetryPolicy::new(), http("POST", true)).await, 2);
    assert_eq!(http_sent(RetryPolicy::new().idempotent(), ask()).await, 2);
    let reads = |path: &str| path.ends_with("/Get");
    assert_eq!(http_sent(RetryPolicy::new().idempotent_paths(reads), ask()).await, 1);

    let answer = || Ok::<_, BoxError>(tonic::Response::new(()));
    let ask = || tonic::Request::new("message");
    assert_eq!(sent(RetryPolicy::new(), ask(), answer).await, 1);
    assert_eq!(sent(RetryPolicy::new().idempotent(), ask(), answer).await, 2);
    let mut keyed = ask();
    keyed.metadata_mut().insert("idempotency-key", "\"1\"".parse().unwrap());
    assert_eq!(sent(RetryPolicy::new(), keyed, answer).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_in_place_of_the_policy_s_changes_nothing_in_that() {
    let (count, ledger) = (Arc::new(Mutex::new(0)), Ledger::default());
    let log = count.clone();
    let judge =
        buttress::classify_fn(|_: Result<&Response<()>, &BoxError>| buttress::Class::Success);
    let service = ServiceBuilder::new()
        .layer(
            HedgeLayer::builder(RetryPolicy::new())
                .delay(Delay::Fixed(10 * MS))
                .observe(ledger.clone())
                .classify(judge)
                .build(),
        )
        .service_fn(move |_: Request<&'static str>| {
            *log.lock().unwrap() += 1;
            async {
                tokio::time::sleep(50 * MS).await;
                Ok(Response::new(()))
            }
        });
    service.oneshot(http("POST", false)).await.unwrap();
    assert_eq!(*count.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_become_too_long_meanwhile_is_not_sent_beside_the_first() {
    let ledger = Ledger::default();
    let frame = || Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(b"abc")));
    let body = ReplayBody::new(StreamBody::new(futures::stream::iter([frame(), frame()])));
    let request = Request::put("http://host/").body(body.at_most(4)).unwrap();
    let service = ServiceBuilder::new().layer(layer(RetryPolicy::new(), &ledger)).service_fn(
        async |request: Request<ReplayBody<_>>| {
            let text = request.into_body().collect().await?.to_bytes();
            tokio::time::sleep(50 * MS).await;
            Ok::<_, BoxError>(Response::new(text))
        },
    );
    assert_eq!(service.oneshot(request).await.unwrap().into_body(), "abcabc");
    let told = ledger.take("hedge");
    assert!(told.contains(&EventKind::Withheld(Withheld::Request)), "{told:?}");
    assert!(!told.contains(&EventKind::Hedged), "{told:?}");
}
