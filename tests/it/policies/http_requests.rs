//! `http::RetryPolicy` asked by hand.

use std::io::ErrorKind;
use std::time::Duration;

use allocation_counter::measure;
use buttress::http::{Replay, ReplayBody, RetryPolicy};
use buttress::retry::{Attempt, Hint, Policy};
use buttress::timeout::Deadline;
use buttress::{BoxError, Class, Reason, Rejected};
use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body::Body;
use http_body_util::{BodyExt, Full};

use super::errors::{Fault, REFUSED_STREAM, fault, io};

type Ask = Request<&'static str>;
type Answer = Response<()>;

fn ask(method: &str) -> Ask {
    Request::builder().method(method).uri("http://host/path?query").body("text").unwrap()
}

fn keyed(method: &str) -> Ask {
    let mut request = ask(method);
    request.headers_mut().insert("idempotency-key", "\"1\"".parse().unwrap());
    request
}

fn answer(status: u16, headers: &[(&'static str, &str)]) -> Answer {
    let mut response = Response::builder().status(status).body(()).unwrap();
    for (name, value) in headers {
        response.headers_mut().append(*name, value.parse().unwrap());
    }
    response
}

fn may_resend(request: &Ask, outcome: Result<&Answer, &Fault>) -> bool {
    RetryPolicy::new().may_resend(request, outcome)
}

#[test]
fn idempotent_methods_and_requests_with_a_key_may_be_sent_again() {
    let busy = answer(503, &[]);
    for (method, idempotent) in [
        ("GET", true),
        ("HEAD", true),
        ("OPTIONS", true),
        ("TRACE", true),
        ("PUT", true),
        ("DELETE", true),
        ("POST", false),
        ("PATCH", false),
        ("CONNECT", false),
        ("PURGE", false),
    ] {
        assert_eq!(may_resend(&ask(method), Ok(&busy)), idempotent, "{method}");
        assert_eq!(may_resend(&ask(method), Err(&fault("reset"))), idempotent, "{method}");
        assert!(may_resend(&keyed(method), Ok(&busy)), "{method}");
        assert!(may_resend(&keyed(method), Err(&fault("reset"))), "{method}");
    }
}

#[test]
fn two_keys_and_an_empty_one_are_none() {
    for (keys, keyed) in [
        (&["k"][..], true),
        (&["\"k\""], true),
        (&[""], false),
        (&[" "], false),
        (&["\"\""], false),
        (&["k", "k"], false),
        (&["", "k"], false),
    ] {
        let mut request = ask("POST");
        for key in keys {
            request.headers_mut().append("Idempotency-Key", key.parse().unwrap());
        }
        assert_eq!(may_resend(&request, Err(&fault("reset"))), keyed, "{keys:?}");
        let policy = RetryPolicy::new().stamp_idempotency_keys();
        Policy::<_, Answer, Fault>::prepare(&policy, &mut request);
        let values: Vec<_> = request.headers().get_all("idempotency-key").iter().collect();
        assert_eq!(values, keys, "the caller's own stay as they are");
    }
}

#[test]
fn any_request_that_was_never_sent_may_be_sent_again() {
    let post = ask("POST");
    let unsent = |error: &Fault| may_resend(&post, Err(error));
    assert!(unsent(&fault(io(ErrorKind::ConnectionRefused))));
    assert!(unsent(&fault(REFUSED_STREAM)));
    for kind in [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::TimedOut] {
        assert!(!unsent(&fault(io(kind))), "{kind}");
    }
    assert!(!unsent(&fault("stream error received: unspecific protocol error detected")));
    assert!(!unsent(&fault(format!("{REFUSED_STREAM}, somebody says"))));

    let boxed: BoxError = fault(io(ErrorKind::ConnectionRefused)).into();
    assert!(Policy::<_, Answer, _>::may_resend(&RetryPolicy::new(), &post, Err(&boxed)));
}

#[test]
fn a_refusal_that_was_not_dispatched_was_never_sent() {
    let post = ask("POST");
    for (reason, dispatched) in
        [(Reason::CircuitOpen, false), (Reason::TimedOut, true), (Reason::TimedOut, false)]
    {
        let rejected = Rejected::new(reason).dispatched(dispatched);
        let errors = [Fault::Rejected(rejected.clone()), fault(rejected.clone())];
        for error in errors {
            assert_eq!(may_resend(&post, Err(&error)), !dispatched, "{error:?}");
        }
        let mut refused = answer(503, &[]);
        refused.extensions_mut().insert(rejected);
        assert_eq!(may_resend(&post, Ok(&refused)), !dispatched);
    }
}

#[test]
fn what_counts_as_unsent_can_be_added_to() {
    let policy = RetryPolicy::new().unsent(|error: &Fault| error.to_string() == "wrapped");
    let may = |error: Fault| Policy::<_, Answer, _>::may_resend(&policy, &ask("POST"), Err(&error));
    assert!(may(fault("no such host")));
    assert!(may(Rejected::new(Reason::CircuitOpen).into()));
    assert!(!may(Rejected::new(Reason::TimedOut).into()));
    let policy = RetryPolicy::new().unsent(|_: &Fault| false);
    let refused = fault(io(ErrorKind::ConnectionRefused));
    assert!(Policy::<_, Answer, _>::may_resend(&policy, &ask("POST"), Err(&refused)));
}

/// A body of which it is known that it is lost, or not.
struct Lost(bool);

impl Replay for Lost {
    fn replay(&self) -> Option<Self> {
        Some(Self(self.0))
    }

    fn can_replay(&self) -> bool {
        !self.0
    }
}

#[test]
fn a_body_that_is_lost_is_not_sent_again_whatever_the_request() {
    let body = ReplayBody::new(Full::<Bytes>::from("0123456789")).at_most(9);
    let request = Request::get("/").body(body).unwrap();
    assert!(Policy::<_, Answer, Fault>::clone_request(&RetryPolicy::new(), &request).is_none());

    for lost in [true, false] {
        let kept = Request::put("/").body(Lost(lost)).unwrap();
        let outcome = Err::<&Answer, _>(&fault("reset"));
        assert_eq!(RetryPolicy::new().may_resend(&kept, outcome), !lost);
    }
}

#[tokio::test]
async fn a_copy_is_the_same_request() {
    let mut request = Request::post("http://host/path?query")
        .version(Version::HTTP_2)
        .header("x-one", "1")
        .header("x-one", "2")
        .body(ReplayBody::new(Full::<Bytes>::from("text")))
        .unwrap();
    request.extensions_mut().insert(7_u8);
    let copy = Policy::<_, Answer, Fault>::clone_request(&RetryPolicy::new(), &request).unwrap();
    assert_eq!(copy.method(), Method::POST);
    assert_eq!(copy.uri(), "http://host/path?query");
    assert_eq!(copy.version(), Version::HTTP_2);
    assert_eq!(copy.headers(), request.headers());
    assert_eq!(copy.extensions().get(), Some(&7_u8));
    assert_eq!(copy.body().size_hint().exact(), Some(4));
    assert_eq!(copy.into_body().collect().await.unwrap().to_bytes(), "text");
}

#[test]
fn every_answer_to_try_again_has_its_retry_after_heard() {
    let hint = |response: &Answer, class| {
        Policy::<Ask, _, Fault>::hint(&RetryPolicy::new(), Ok(response), class)
    };
    let seconds = |seconds| Hint::AtLeast(Duration::from_secs(seconds));
    for status in [429, 503, 500, 502, 408, 404] {
        let response = answer(status, &[("retry-after", "7")]);
        assert_eq!(hint(&response, Class::Transient), seconds(7), "{status}");
    }
    let date = ("date", "Sun, 06 Nov 1994 08:49:07 GMT");
    for (said, wait) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", seconds(30)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", seconds(0)),
        ("99999", seconds(300)),
        ("soon", Hint::None),
        ("-1", Hint::None),
    ] {
        let response = answer(500, &[("retry-after", said), date]);
        assert_eq!(hint(&response, Class::Transient), wait, "{said}");
    }
    assert_eq!(hint(&answer(503, &[]), Class::Overload { retry_after: None }), Hint::None);
}

#[test]
fn a_classifier_and_a_refusal_can_give_a_hint_too() {
    let wait = Duration::from_millis(1500);
    let hint = |outcome: Result<&Answer, &Fault>, class| {
        Policy::<Ask, _, _>::hint(&RetryPolicy::new(), outcome, class)
    };
    let overload = Class::Overload { retry_after: Some(wait) };
    assert_eq!(hint(Ok(&answer(200, &[])), overload), Hint::AtLeast(wait));
    assert_eq!(hint(Err(&fault("busy")), overload), Hint::AtLeast(wait));
    assert_eq!(hint(Err(&fault("busy")), Class::Transient), Hint::None);
    let refusal = Fault::Rejected(Rejected::new(Reason::CircuitOpen).after(wait));
    assert_eq!(hint(Err(&refusal), Class::Transient), Hint::AtLeast(wait));
}

#[test]
fn it_classifies_as_statuses_do() {
    let policy = RetryPolicy::new();
    let class = |status| Policy::<Ask, _, Fault>::classify(&policy, Ok(&answer(status, &[])));
    assert_eq!(class(200), Class::Success);
    assert_eq!(class(404), Class::Permanent);
    assert_eq!(class(500), Class::Transient);
    let refused = Fault::Rejected(Rejected::new(Reason::CircuitOpen));
    assert_eq!(Policy::<Ask, Answer, _>::classify(&policy, Err(&refused)), Class::Ignore);
}

/// The key that a policy has given a request, if it has one.
fn prepared<U>(policy: &RetryPolicy<U>, mut request: Ask) -> Option<String>
where
    RetryPolicy<U>: Policy<Ask, Answer, Fault>,
{
    policy.prepare(&mut request);
    let keys: Vec<_> = request.headers().get_all("idempotency-key").iter().collect();
    assert!(keys.len() <= 1);
    keys.first().map(|key| key.to_str().unwrap().to_owned())
}

#[test]
fn keys_are_stamped_on_posts_and_patches_when_asked_for() {
    let silent = RetryPolicy::new();
    let stamping = RetryPolicy::new().stamp_idempotency_keys();
    for method in ["POST", "PATCH"] {
        assert_eq!(prepared(&silent, ask(method)), None);
        let key = prepared(&stamping, ask(method)).unwrap();
        assert_eq!((key.len(), &key[..1], &key[15..16]), (38, "\"", "4"), "{key}");
        assert_ne!(prepared(&stamping, ask(method)).unwrap(), key);
        assert_eq!(prepared(&stamping, keyed(method)).unwrap(), "\"1\"", "the caller's own");
    }
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        assert_eq!(prepared(&stamping, ask(method)), None, "{method}");
    }
}

#[test]
fn no_two_policies_and_no_two_clones_draw_the_same_key() {
    let policy = RetryPolicy::new().stamp_idempotency_keys();
    let (clone, other) = (policy, RetryPolicy::new().stamp_idempotency_keys());
    let keys: std::collections::HashSet<_> = [policy, clone, other, policy, clone, other]
        .iter()
        .map(|policy| prepared(policy, ask("POST")).unwrap())
        .collect();
    assert_eq!(keys.len(), 6);
}

#[test]
fn the_deadline_and_the_attempt_are_extensions() {
    let policy = RetryPolicy::new();
    let policy: &dyn Policy<Ask, Answer, Fault> = &policy;
    let mut request = ask("GET");
    assert_eq!(policy.deadline(&request), None);
    let deadline = Deadline::after(Duration::from_secs(1));
    request.extensions_mut().insert(deadline);
    assert_eq!(policy.deadline(&request), Some(deadline));

    policy.mark(&mut request, Attempt::new(1, 3));
    assert_eq!(request.extensions().get(), Some(&Attempt::new(1, 3)));
    let counted = measure(|| policy.mark(&mut request, Attempt::new(2, 3)));
    assert_eq!(counted.count_total, 0, "replaced in place");
    assert_eq!(request.extensions().get(), Some(&Attempt::new(2, 3)));
}
