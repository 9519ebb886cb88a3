//! `grpc::RetryPolicy` around a method, asked by hand.

use std::io::ErrorKind;
use std::time::Duration;

use buttress::grpc::RetryPolicy;
use buttress::retry::{Attempt, Hint, Policy};
use buttress::timeout::Deadline;
use buttress::{BoxError, Class, Error, Reason, Rejected};
use tonic::{Request, Response, Status};

use super::errors::io;

type Ask = Request<String>;
type Answer = Response<u32>;

fn policy() -> impl Policy<Ask, Answer, Status> {
    RetryPolicy::new()
}

fn ask() -> Ask {
    Request::new("message".into())
}

fn pushed(mut status: Status, pushback: &str) -> Status {
    status.metadata_mut().insert("grpc-retry-pushback-ms", pushback.parse().unwrap());
    status
}

fn may_resend(request: &Ask, status: &Status) -> bool {
    policy().may_resend(request, Err(status))
}

#[test]
fn who_may_be_sent_again() {
    assert!(may_resend(&ask(), &Status::unavailable("")));
    assert!(!may_resend(&ask(), &Status::internal("")));
    assert!(may_resend(&ask(), &pushed(Status::internal(""), "0")));
    assert!(!may_resend(&ask(), &pushed(Status::internal(""), "-1")));
    assert!(!policy().may_resend(&ask(), Ok(&Response::new(1))), "there is an answer");

    let mut keyed = ask();
    keyed.metadata_mut().insert("idempotency-key", "1".parse().unwrap());
    assert!(may_resend(&keyed, &Status::internal("")));

    let internal = Status::internal("");
    let outcome = || Err::<&Answer, _>(&internal);
    assert!(RetryPolicy::new().idempotent().may_resend(&ask(), outcome()));
    let judged = RetryPolicy::new().idempotent_if(|ask: &Ask| ask.get_ref() == "message");
    assert!(judged.may_resend(&ask(), outcome()));
    assert!(!judged.may_resend(&Request::new(String::new()), outcome()));
}

/// What this side's channel makes of an error.
fn made_of(error: impl Into<BoxError>) -> Status {
    let mut status = Status::unavailable("");
    status.set_source(std::sync::Arc::from(error.into()));
    status
}

#[test]
fn an_unavailable_of_this_side_s_channel_proves_nothing() {
    assert!(!may_resend(&ask(), &made_of("keep-alive timed out")), "the call was under way");
    assert!(may_resend(&ask(), &made_of(io(ErrorKind::ConnectionRefused))));
    let unresolved = tonic::ConnectError("no such host".into());
    assert!(may_resend(&ask(), &Status::from_error(unresolved.into())));
    let said = made_of(Status::unavailable("the server's own words"));
    assert!(may_resend(&ask(), &said));
    let stop = pushed(made_of("reset"), "-1");
    assert_eq!(policy().hint(Err(&stop), Class::Transient), Hint::Stop);

    let keyed = |keys: &[&str]| {
        let mut request = ask();
        for key in keys {
            request.metadata_mut().append("idempotency-key", key.parse().unwrap());
        }
        may_resend(&request, &Status::internal(""))
    };
    assert!(keyed(&["k"]) && !keyed(&[""]) && !keyed(&["k", "k"]));
}

#[test]
fn refusals_of_this_process_are_sent_again_only_where_they_were_not_dispatched() {
    let refused = |reason| Status::from(Rejected::new(reason).after(Duration::from_secs(2)));
    assert!(may_resend(&ask(), &refused(Reason::CircuitOpen)));
    assert!(!may_resend(&ask(), &refused(Reason::TimedOut)), "its pushback is our own");
    let hint = policy().hint(Err(&refused(Reason::CircuitOpen)), Class::Transient);
    assert_eq!(hint, Hint::AtLeast(Duration::from_secs(2)));
    let class = policy().classify(Err(&refused(Reason::CircuitOpen)));
    assert_eq!(class, Class::Ignore);
}

#[test]
fn pushback_in_the_metadata_is_exact_or_a_stop() {
    let hint =
        |value| policy().hint(Err(&pushed(Status::unavailable(""), value)), Class::Transient);
    assert_eq!(hint("1200"), Hint::Exactly(Duration::from_millis(1200)));
    assert_eq!(hint("-1"), Hint::Stop);
    assert_eq!(hint("soon"), Hint::Stop);
    assert_eq!(policy().hint(Err(&Status::unavailable("")), Class::Transient), Hint::None);
}

#[test]
fn any_error_that_carries_a_status_will_do() {
    let (lifted, boxed): (Error<Status>, BoxError) =
        (Error::Service(Status::unavailable("")), Status::unavailable("").into());
    let policy = RetryPolicy::new();
    assert!(Policy::<_, Answer, _>::may_resend(&policy, &ask(), Err(&lifted)));
    assert!(Policy::<_, Answer, _>::may_resend(&policy, &ask(), Err(&boxed)));
    assert_eq!(Policy::<Ask, Answer, _>::classify(&policy, Err(&lifted)), Class::Transient);
    let lifted: Error<Status> = Error::Service(Status::not_found(""));
    assert_eq!(Policy::<Ask, Answer, _>::classify(&policy, Err(&lifted)), Class::Permanent);
    let refused: Error<Status> = Rejected::new(Reason::CircuitOpen).into();
    assert_eq!(Policy::<Ask, Answer, _>::classify(&policy, Err(&refused)), Class::Ignore);
    let foreign: BoxError = "reset".into();
    assert_eq!(Policy::<Ask, Answer, _>::classify(&policy, Err(&foreign)), Class::Transient);
}

#[test]
fn a_copy_is_the_same_call_and_says_which_attempt_it_is() {
    let mut first = ask();
    first.metadata_mut().insert("x-one", "1".parse().unwrap());
    let deadline = Deadline::after(Duration::from_secs(1));
    first.extensions_mut().insert(deadline);
    let mut second = policy().clone_request(&first).unwrap();
    policy().mark(&mut first, Attempt::new(1, 3));
    policy().mark(&mut second, Attempt::new(2, 3));

    assert_eq!(second.get_ref(), "message");
    assert_eq!(second.metadata().get("x-one").unwrap(), "1");
    assert_eq!(policy().deadline(&second), Some(deadline));
    assert!(first.metadata().get("grpc-previous-rpc-attempts").is_none());
    assert_eq!(second.metadata().get("grpc-previous-rpc-attempts").unwrap(), "1");
    assert_eq!(first.extensions().get(), Some(&Attempt::new(1, 3)));
    assert_eq!(second.extensions().get(), Some(&Attempt::new(2, 3)));
}
