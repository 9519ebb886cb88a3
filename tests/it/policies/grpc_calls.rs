//! `grpc::RetryPolicy` below the codec, asked by hand.

use std::io::ErrorKind;
use std::time::Duration;

use buttress::grpc::RetryPolicy;
use buttress::http::ReplayBody;
use buttress::retry::{Attempt, Hint, Policy};
use buttress::timeout::Deadline;
use buttress::{BoxError, Class, Reason, Rejected};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tonic::{Code, Status};

use super::errors::{Fault, REFUSED_STREAM, fault, io};

type Ask = Request<&'static str>;
type Answer = Response<()>;

const PUSHBACK: &str = "grpc-retry-pushback-ms";

fn ask() -> Ask {
    Request::post("http://host/pkg.Things/Get").body("message").unwrap()
}

/// A trailers-only answer.
fn ended(code: Code, pushback: &[&str]) -> Answer {
    let mut response = Response::new(());
    response.headers_mut().insert("grpc-status", (code as i32).into());
    for value in pushback {
        response.headers_mut().append(PUSHBACK, value.parse().unwrap());
    }
    response
}

fn http(status: u16) -> Answer {
    Response::builder().status(status).body(()).unwrap()
}

fn policy() -> impl Policy<Ask, Answer, Fault> {
    RetryPolicy::new()
}

#[test]
fn unavailable_and_an_invitation_are_for_any_call() {
    let may = |answer: &Answer| policy().may_resend(&ask(), Ok(answer));
    assert!(may(&ended(Code::Unavailable, &[])));
    for code in [Code::Internal, Code::Unknown, Code::Aborted, Code::ResourceExhausted] {
        assert!(!may(&ended(code, &[])), "{code:?}");
        assert!(may(&ended(code, &["0"])), "{code:?}");
        assert!(may(&ended(code, &["250"])), "{code:?}");
        assert!(!may(&ended(code, &["-1"])), "{code:?}");
        assert!(!may(&ended(code, &["soon"])), "{code:?}");
    }
}

#[test]
fn a_channel_that_cannot_connect_has_sent_nothing() {
    let unresolved = fault(tonic::ConnectError("no such host".into()));
    assert!(policy().may_resend(&ask(), Err(&unresolved)));
    assert!(!policy().may_resend(&ask(), Err(&fault("no such host"))));
}

#[test]
fn a_declared_call_may_be_sent_again_after_any_failure() {
    let internal = ended(Code::Internal, &[]);
    let may = |policy: &dyn Policy<Ask, Answer, Fault>| {
        let of_path = |path: &str| {
            let mut request = ask();
            *request.uri_mut() = format!("http://host{path}").parse().unwrap();
            let (answered, failed) = (
                policy.may_resend(&request, Ok(&internal)),
                policy.may_resend(&request, Err(&fault("reset"))),
            );
            assert_eq!(answered, failed);
            answered
        };
        (of_path("/pkg.Things/Get"), of_path("/pkg.Things/Put"))
    };
    assert_eq!(may(&RetryPolicy::new()), (false, false));
    assert_eq!(may(&RetryPolicy::new().idempotent()), (true, true));
    let paths = RetryPolicy::new().idempotent_paths(|path| path == "/pkg.Things/Get");
    assert_eq!(may(&paths), (true, false));
    let judged = RetryPolicy::new().idempotent_if(|ask: &Ask| ask.uri().path().ends_with("Put"));
    assert_eq!(may(&judged), (false, true));

    let mut keyed = ask();
    keyed.headers_mut().insert("idempotency-key", "1".parse().unwrap());
    assert!(policy().may_resend(&keyed, Ok(&internal)));
    assert!(policy().may_resend(&keyed, Err(&fault("reset"))));
}

#[test]
fn an_answer_that_has_begun_is_committed() {
    let idempotent = RetryPolicy::new().idempotent();
    let may = |answer: &Answer| idempotent.may_resend(&ask(), Ok::<_, &Fault>(answer));
    assert!(!may(&http(200)));
    let mut begun = http(200);
    begun.headers_mut().insert(PUSHBACK, "0".parse().unwrap());
    assert!(!may(&begun));
    // An answer of a proxy, which is no gRPC: only for calls that may take effect twice.
    assert!(may(&http(502)));
    assert!(!policy().may_resend(&ask(), Ok(&http(502))));
}

#[test]
fn a_call_that_was_never_sent_may_be_sent_again() {
    let unsent = |error: &Fault| policy().may_resend(&ask(), Err(error));
    assert!(unsent(&fault(io(ErrorKind::ConnectionRefused))));
    assert!(unsent(&fault(REFUSED_STREAM)));
    assert!(!unsent(&fault(io(ErrorKind::ConnectionReset))));
    assert!(unsent(&Rejected::new(Reason::CircuitOpen).into()));
    assert!(!unsent(&Rejected::new(Reason::TimedOut).into()));
    let boxed: BoxError = fault(REFUSED_STREAM).into();
    assert!(Policy::<_, Answer, _>::may_resend(&RetryPolicy::new(), &ask(), Err(&boxed)));
}

#[test]
fn a_status_among_the_sources_of_an_error_is_heard() {
    let may = |status: Status| policy().may_resend(&ask(), Err(&fault(status)));
    assert!(may(Status::unavailable("")));
    assert!(!may(Status::internal("")));
    let mut pushed = Status::internal("");
    pushed.metadata_mut().insert(PUSHBACK, "30".parse().unwrap());
    let hint = policy().hint(Err(&fault(pushed)), Class::Transient);
    assert_eq!(hint, Hint::Exactly(Duration::from_millis(30)));
}

#[test]
fn a_refusal_of_this_process_is_no_answer_of_the_server() {
    let wait = Duration::from_millis(40);
    for (reason, may) in [(Reason::CircuitOpen, true), (Reason::TimedOut, false)] {
        let rejected = Rejected::new(reason).after(wait);
        let mut answer = ended(Code::Unavailable, &["40"]);
        answer.extensions_mut().insert(rejected.clone());
        assert_eq!(policy().may_resend(&ask(), Ok(&answer)), may);
        let hint = policy().hint(Ok(&answer), Class::Transient);
        assert_eq!(hint, Hint::AtLeast(wait), "not exact: it is no pushback");
        let status = fault(Status::from(rejected));
        assert_eq!(policy().may_resend(&ask(), Err(&status)), may);
        assert_eq!(policy().hint(Err(&status), Class::Transient), Hint::AtLeast(wait));
    }
}

#[test]
fn pushback_is_exact_or_a_stop() {
    let hint = |values: &[&str], class| policy().hint(Ok(&ended(Code::Unavailable, values)), class);
    let exactly = |millis| Hint::Exactly(Duration::from_millis(millis));
    assert_eq!(hint(&["0"], Class::Transient), exactly(0));
    assert_eq!(hint(&["86400000"], Class::Transient), exactly(86_400_000));
    let capped = Class::Overload { retry_after: Some(Duration::from_secs(300)) };
    assert_eq!(hint(&["86400000"], capped), exactly(86_400_000));
    for stop in [&["-1"][..], &["soon"], &[""], &["1.5"], &["1", "1"]] {
        assert_eq!(hint(stop, Class::Transient), Hint::Stop, "{stop:?}");
    }
    assert_eq!(hint(&[], Class::Transient), Hint::None);
    let own = Class::Overload { retry_after: Some(Duration::from_secs(2)) };
    assert_eq!(hint(&[], own), Hint::AtLeast(Duration::from_secs(2)));
}

#[test]
fn only_bodies_that_can_be_replayed_are_sent_again() {
    let body = ReplayBody::new(Full::<Bytes>::from("0123456789")).at_most(9);
    let long = Request::post("/").body(body.clone()).unwrap();
    let idempotent = RetryPolicy::new().idempotent();
    assert!(Policy::<_, Answer, Fault>::clone_request(&idempotent, &long).is_none());
    let unavailable = ended(Code::Unavailable, &[]);
    assert!(!idempotent.may_resend(&long, Ok::<_, &Fault>(&unavailable)));
}

#[test]
fn attempts_are_told_to_the_server_from_the_second_on() {
    let policy = policy();
    let mut first = ask();
    let deadline = Deadline::after(Duration::from_secs(1));
    first.extensions_mut().insert(deadline);
    let mut second = policy.clone_request(&first).unwrap();
    assert_eq!(policy.deadline(&second), Some(deadline));
    policy.mark(&mut first, Attempt::new(1, 3));
    policy.mark(&mut second, Attempt::new(2, 3));
    assert!(!first.headers().contains_key("grpc-previous-rpc-attempts"));
    assert_eq!(second.headers()["grpc-previous-rpc-attempts"], "1");
    assert_eq!(second.extensions().get(), Some(&Attempt::new(2, 3)));
    assert_eq!(second.uri(), first.uri());
}
