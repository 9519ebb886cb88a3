//! The policies in a `RetryLayer`, under paused time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::http::{ReplayBody, RetryPolicy};
use buttress::retry::{Attempt, Backoff, RetryLayer};
use buttress::{BoxError, Class, classify_fn, grpc};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt};

/// What an attempt looked like, and when it came.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    at: Duration,
    attempt: Attempt,
    key: Option<String>,
    body: Bytes,
}

type Answer = Response<&'static str>;
type Outcome = Result<Answer, BoxError>;

/// Sends a POST of three frames through `policy` to a service that gives these answers.
macro_rules! post {
    ($policy:expr, $answers:expr) => {{
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, start) = (seen.clone(), Instant::now());
        let answers: Vec<fn() -> Outcome> = $answers;
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(1))
            .jitter(buttress::retry::Jitter::None);
        let service = ServiceBuilder::new()
            .map_request(ReplayBody::wrap)
            .layer(RetryLayer::builder($policy).backoff(backoff).build())
            .service_fn(move |request: Request<ReplayBody<_>>| {
                let (log, answers) = (log.clone(), answers.clone());
                async move {
                    let attempt = *request.extensions().get::<Attempt>().unwrap();
                    let key = request.headers().get("idempotency-key");
                    let key = key.map(|key| key.to_str().unwrap().to_owned());
                    let body = request.into_body().collect().await?.to_bytes();
                    log.lock().unwrap().push(Seen { at: start.elapsed(), attempt, key, body });
                    let answer = answers.lock().unwrap().next().unwrap();
                    answer()
                }
            });
        let frames = ["ab", "c", "de"]
            .map(|text| Ok::<_, BoxError>(http_body::Frame::data(Bytes::from(text))));
        let body = StreamBody::new(futures::stream::iter(frames));
        let outcome =
            service.oneshot(Request::post("http://host/pkg.Things/Put").body(body).unwrap()).await;
        (outcome, Arc::try_unwrap(seen).unwrap().into_inner().unwrap())
    }};
}

fn status(status: u16) -> Answer {
    Response::builder().status(status).body("").unwrap()
}

fn times(seen: &[Seen]) -> Vec<u64> {
    seen.iter().map(|seen| u64::try_from(seen.at.as_millis()).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stamped_post_is_sent_again_with_the_same_key_and_body() {
    let policy = RetryPolicy::new().stamp_idempotency_keys();
    let (outcome, seen) =
        post!(policy, vec![|| Ok(status(500)), || Err("reset".into()), || Ok(status(200))]);
    assert_eq!(outcome.unwrap().status(), 200);
    assert_eq!(times(&seen), [0, 100, 300]);
    assert!(seen[0].key.is_some());
    for (seen, number) in seen.iter().zip(1..) {
        assert_eq!(seen.attempt, Attempt::new(number, 3));
        assert_eq!(seen.body, "abcde");
    }
    assert!(seen.windows(2).all(|pair| pair[0].key == pair[1].key));
}

#[tokio::test(start_paused = true)]
async fn a_post_without_a_key_is_sent_once_and_its_caller_gets_the_answer() {
    let (outcome, seen) = post!(RetryPolicy::new(), vec![|| Ok(status(503))]);
    assert_eq!(outcome.unwrap().status(), 503);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].key, None);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_holds_the_next_attempt_back() {
    let busy = || {
        let mut response = status(503);
        response.headers_mut().insert("retry-after", "7".parse().unwrap());
        Ok(response)
    };
    let policy = RetryPolicy::new().stamp_idempotency_keys();
    let (outcome, seen) = post!(policy, vec![busy, || Ok(status(200))]);
    assert_eq!(outcome.unwrap().status(), 200);
    assert!((7_000..=7_700).contains(&times(&seen)[1]), "{:?}", times(&seen));
}

fn pushback(code: &'static str, value: Option<&'static str>) -> Answer {
    let mut response = status(200);
    response.headers_mut().insert("grpc-status", code.parse().unwrap());
    if let Some(value) = value {
        response.headers_mut().insert("grpc-retry-pushback-ms", value.parse().unwrap());
    }
    response
}

#[tokio::test(start_paused = true)]
async fn a_pushback_is_exact_and_a_negative_one_ends_the_call() {
    let (_, seen) = post!(
        grpc::RetryPolicy::new(),
        vec![|| Ok(pushback("13", Some("1234"))), || Ok(pushback("14", None)), || Ok(pushback(
            "0", None
        ))]
    );
    assert_eq!(times(&seen), [0, 1234, 1334], "and the backoff starts over");
    for stop in [|| Ok(pushback("14", Some("-1"))), || Ok(pushback("14", Some("soon")))] {
        let (outcome, seen) = post!(grpc::RetryPolicy::new(), vec![stop]);
        assert_eq!(
            (outcome.unwrap().headers()["grpc-status"].as_bytes(), seen.len()),
            (&b"14"[..], 1)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_classifier_of_the_layer_judges_but_the_policy_says_who_may_be_sent_again() {
    let missing = classify_fn(|outcome: Result<&Answer, &BoxError>| match outcome {
        Ok(answer) if answer.status() == 404 => Class::Transient,
        _ => Class::Success,
    });
    let layer = RetryLayer::builder(RetryPolicy::new()).classify(missing).build();
    for (method, code, calls) in [("PUT", 404, 3), ("PUT", 503, 1), ("POST", 404, 1)] {
        let sent = Arc::new(Mutex::new(0));
        let log = sent.clone();
        let service = ServiceBuilder::new().layer(layer.clone()).service_fn(move |_| {
            *log.lock().unwrap() += 1;
            async move { Ok(status(code)) }
        });
        let request = Request::builder().method(method).body("text").unwrap();
        assert_eq!(service.oneshot(request).await.unwrap().status(), code);
        assert_eq!(*sent.lock().unwrap(), calls, "{method} {code}");
    }
}
