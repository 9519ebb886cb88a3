//! `RetryPolicy` under a `RetryLayer`: one key for all attempts, whatever the order of the layers.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::http::{REFUSAL, Replay};
use buttress::idempotency::{KeyLayer, RetryPolicy};
use buttress::retry::{Attempt, Backoff, Policy, RetryLayer};
use buttress::{Error, Reason, Rejected};
use http::{Request, Response};
use tokio::time::Instant;
use tower::util::BoxCloneService;
use tower::{Layer, ServiceExt, service_fn};

use super::{Seen, ask, is_quoted_uuid};

type Fault = Error<std::io::Error>;
type Answer = Response<()>;
type Client<B = &'static str> = BoxCloneService<Request<B>, Answer, Fault>;
type Script = Vec<fn() -> Result<Answer, Fault>>;

/// Gives each request the next answer of the script; the last of it from then on.
fn server<B: Send + 'static>(seen: &Seen, script: Script) -> Client<B> {
    let (seen, count) = (seen.clone(), Arc::new(AtomicUsize::new(0)));
    BoxCloneService::new(service_fn(move |request: Request<B>| {
        seen.note(request.headers());
        let number = count.fetch_add(1, Ordering::Relaxed).min(script.len() - 1);
        let answer = script[number];
        async move { answer() }
    }))
}

fn retry<P>(policy: P) -> RetryLayer<P> {
    let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(5));
    RetryLayer::builder(policy).max_attempts(6).backoff(backoff).build()
}

fn status(status: u16) -> Answer {
    Response::builder().status(status).body(()).unwrap()
}

fn in_progress() -> Answer {
    Response::builder().status(409).header(REFUSAL, "in_progress").body(()).unwrap()
}

fn reset() -> Result<Answer, Fault> {
    Err(Error::Service(ErrorKind::ConnectionReset.into()))
}

/// Trouble of each kind that is worth another attempt, and an answer at last.
fn trouble() -> Script {
    vec![|| Ok(status(500)), reset, || Ok(in_progress()), || Ok(status(425)), || Ok(status(200))]
}

/// How often the request is sent, if the first answer is `first` and the next would be 200.
async fn attempts<P>(policy: P, method: &str, first: fn() -> Result<Answer, Fault>) -> usize
where
    P: Policy<Request<&'static str>, Answer, Fault> + Send + Sync + 'static,
{
    let seen = Seen::default();
    let client = retry(policy).layer(server(&seen, vec![first, || Ok(status(200))]));
    let _ = client.oneshot(ask(method)).await;
    seen.keys().len()
}

fn same(keys: &[String]) -> bool {
    keys.iter().collect::<HashSet<_>>().len() == 1
}

#[tokio::test(start_paused = true)]
async fn all_attempts_have_one_key_in_both_orders_of_the_layers() {
    let outside =
        |server| Client::new(KeyLayer::new().layer(retry(RetryPolicy::default()).layer(server)));
    let inside =
        |server| Client::new(retry(RetryPolicy::default()).layer(KeyLayer::new().layer(server)));
    let alone = |server| Client::new(retry(RetryPolicy::default()).layer(server));
    let orders: [fn(Client) -> Client; 3] = [outside, inside, alone];
    for (order, arrange) in orders.into_iter().enumerate() {
        let seen = Seen::default();
        let answer = arrange(server(&seen, trouble())).oneshot(ask("POST")).await.unwrap();
        let keys = seen.keys();
        assert_eq!((answer.status().as_u16(), keys.len()), (200, 5), "order {order}");
        assert!(is_quoted_uuid(&keys[0]) && same(&keys), "order {order}: {keys:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn different_calls_have_different_keys() {
    let seen = Seen::default();
    let client = retry(RetryPolicy::default()).layer(server(&seen, vec![|| Ok(status(200))]));
    for _ in 0..2 {
        client.clone().oneshot(ask("POST")).await.unwrap();
    }
    let keys = seen.keys();
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test(start_paused = true)]
async fn a_key_layer_with_settings_shares_them_with_the_policy() {
    let keys = KeyLayer::new().header("x-request-key").bare();
    let seen = Seen::default();
    let client = retry(RetryPolicy::default().keys(keys.clone()))
        .layer(keys.layer(server(&seen, trouble())));
    client.oneshot(ask("POST")).await.unwrap();
    assert!(same(&seen.values("x-request-key")), "{:?}", seen.values("x-request-key"));
    assert_eq!(seen.values("x-request-key").len(), 5);
    assert!(seen.keys().iter().all(String::is_empty), "one header is enough");
}

#[tokio::test(start_paused = true)]
async fn the_key_is_drawn_once_however_many_attempts_there_are() {
    let drawn = Arc::new(AtomicUsize::new(0));
    let count = drawn.clone();
    let keys = KeyLayer::new().generator(move || count.fetch_add(1, Ordering::Relaxed));
    let seen = Seen::default();
    let client = retry(RetryPolicy::default().keys(keys)).layer(server(&seen, trouble()));
    client.oneshot(ask("POST")).await.unwrap();
    assert_eq!(seen.keys(), ["\"0\""; 5]);
    assert_eq!(drawn.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn with_a_key_only_what_may_end_better_is_sent_again() {
    let again: [fn() -> Result<Answer, Fault>; 9] = [
        || Ok(status(408)),
        || Ok(status(425)),
        || Ok(status(429)),
        || Ok(status(500)),
        || Ok(status(502)),
        || Ok(status(503)),
        || Ok(status(504)),
        || Ok(in_progress()),
        reset,
    ];
    for first in again {
        assert_eq!(attempts(RetryPolicy::default(), "POST", first).await, 2, "{:?}", first());
    }
    let final_ones: [fn() -> Result<Answer, Fault>; 8] = [
        || Ok(status(200)),
        || Ok(status(400)),
        || Ok(status(409)),
        || Ok(Response::builder().status(409).header(REFUSAL, "outcome_unknown").body(()).unwrap()),
        || {
            Ok(Response::builder()
                .status(409)
                .header(REFUSAL, "result_unavailable")
                .body(())
                .unwrap())
        },
        || Ok(status(413)),
        || Ok(status(422)),
        || Ok(status(507)),
    ];
    for first in final_ones {
        assert_eq!(attempts(RetryPolicy::default(), "POST", first).await, 1, "{:?}", first());
    }
    // Without a key, as the policy inside says.
    assert_eq!(attempts(RetryPolicy::default(), "GET", || Ok(status(507))).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_keeps_its_500s_is_not_asked_again_for_one() {
    let keeps = || RetryPolicy::default().stop_at_500();
    assert_eq!(attempts(keeps(), "POST", || Ok(status(500))).await, 1);
    assert_eq!(attempts(keeps(), "POST", || Ok(status(502))).await, 2);
    assert_eq!(attempts(keeps(), "GET", || Ok(status(500))).await, 2, "it has no key");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_this_process_is_final_unless_the_request_is_in_progress() {
    fn refused(reason: Reason) -> Answer {
        let mut answer = if reason == Reason::InProgress { in_progress() } else { status(503) };
        answer.extensions_mut().insert(Rejected::new(reason));
        answer
    }
    let sent = |first| attempts(RetryPolicy::default(), "POST", first);
    assert_eq!(sent(|| Ok(refused(Reason::BulkheadFull))).await, 1);
    assert_eq!(sent(|| Err(Error::Rejected(Rejected::new(Reason::CircuitOpen)))).await, 1);
    let in_progress = || Ok(refused(Reason::InProgress));
    assert_eq!(sent(in_progress).await, 2);
    assert_eq!(attempts(RetryPolicy::new(Inside::default()), "POST", in_progress).await, 2);
}

#[tokio::test(start_paused = true)]
async fn the_plain_policy_for_http_waits_for_a_request_in_progress_as_well() {
    let stamps = || buttress::http::RetryPolicy::new().stamp_idempotency_keys();
    assert_eq!(attempts(stamps(), "POST", || Ok(in_progress())).await, 2);
    assert_eq!(attempts(stamps(), "POST", || Ok(status(409))).await, 1);
    let plain = buttress::http::RetryPolicy::new;
    assert_eq!(attempts(plain(), "POST", || Ok(in_progress())).await, 1, "without a key");
}

#[tokio::test(start_paused = true)]
async fn the_wait_of_a_request_in_progress_is_kept() {
    let seen = Seen::default();
    let busy = || {
        let mut answer = in_progress();
        answer.headers_mut().insert("retry-after", "3".parse().unwrap());
        Ok(answer)
    };
    // Of a policy that reads no `Retry-After` itself.
    let policy = RetryPolicy::new(Inside::default());
    let client = retry(policy).layer(server(&seen, vec![busy, || Ok(status(200))]));
    let start = Instant::now();
    client.oneshot(ask("POST")).await.unwrap();
    assert_eq!(seen.keys().len(), 2);
    assert!((3000..3500).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_policy_inside_is_asked_for_everything_else() {
    let inside = Inside::default();
    let asked = inside.asked.clone();
    assert_eq!(attempts(RetryPolicy::new(inside), "POST", || Ok(status(502))).await, 2);
    assert_eq!(*asked.lock().unwrap(), ["prepare", "clone", "mark 1", "clone", "mark 2"]);

    let no = Inside { refuses: true, ..Inside::default() };
    assert_eq!(attempts(RetryPolicy::new(no), "POST", || Ok(status(502))).await, 1);
}

/// A policy that notes what it is asked.
#[derive(Clone, Default)]
struct Inside {
    refuses: bool,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Inside {
    fn note(&self, what: impl Into<String>) {
        self.asked.lock().unwrap().push(what.into());
    }
}

impl<B: Replay, T, E> Policy<Request<B>, T, E> for Inside {
    fn clone_request(&self, request: &Request<B>) -> Option<Request<B>> {
        self.note("clone");
        let mut copy = Request::new(request.body().replay()?);
        copy.method_mut().clone_from(request.method());
        copy.headers_mut().clone_from(request.headers());
        (!self.refuses).then_some(copy)
    }

    fn prepare(&self, request: &mut Request<B>) {
        assert!(request.headers().contains_key("idempotency-key"), "the key is there first");
        self.note("prepare");
    }

    fn mark(&self, _: &mut Request<B>, attempt: Attempt) {
        self.note(format!("mark {}", attempt.number));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_gone_is_not_sent_again() {
    let seen = Seen::default();
    let client = retry(RetryPolicy::default()).layer(server(&seen, vec![|| Ok(status(503))]));
    let answer = client.oneshot(ask("POST").map(|_| Overflowed)).await.unwrap();
    assert_eq!((answer.status().as_u16(), seen.keys().len()), (503, 1));
}

/// A body that could be copied, and turns out to have been too long to keep.
struct Overflowed;

impl Replay for Overflowed {
    fn replay(&self) -> Option<Self> {
        Some(Self)
    }

    fn can_replay(&self) -> bool {
        false
    }
}
