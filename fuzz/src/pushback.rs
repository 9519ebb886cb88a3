//! `grpc-retry-pushback-ms` and the codes of gRPC: what is read, against the grammar, and what is
//! said, read again.
//!
//! An input is lines: the `grpc-status`, then values of the pushback.

use std::convert::Infallible;
use std::time::Duration;

use buttress::grpc::{Codes, RetryPolicy};
use buttress::http::ReplayBody;
use buttress::retry::{Hint, Policy};
use buttress::{Class, Classify, Error, Rejected};
use http::{HeaderMap, HeaderValue, Request, Response};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::bytes::Bytes;
use crate::support::REASONS;

const PUSHBACK: &str = "grpc-retry-pushback-ms";
const LONGEST: Duration = Duration::from_mins(5);

pub(crate) fn run(data: &[u8]) {
    say(&mut Bytes::new(data));
    let mut lines = data.split(|byte| *byte == b'\n').map(HeaderValue::from_bytes);
    let Some(Ok(status)) = lines.next() else { return };
    let Ok(values) = lines.take(3).collect::<Result<Vec<_>, _>>() else { return };
    let headers = values.iter().map(|value| (PUSHBACK.parse().unwrap(), value.clone())).collect();
    read(&status, headers, &values);
}

fn read(status: &HeaderValue, headers: HeaderMap, values: &[HeaderValue]) {
    let code = Code::from_bytes(status.as_bytes());
    let said = meaning(values);
    let class = expected(code, said);

    let mut head = Response::new(());
    *head.headers_mut() = headers.clone();
    head.headers_mut().insert("grpc-status", status.clone());
    assert_eq!(Codes.classify(Ok::<_, &Error<Infallible>>(&head)), class);
    assert_eq!(of_head(&head, class), hint(said, class));

    if code != Code::Ok {
        let status = Status::with_metadata(code, "", MetadataMap::from_headers(headers));
        assert_eq!(Codes.classify(Err::<&tonic::Response<()>, _>(&status)), class);
        assert_eq!(of_status(&status, class), hint(said, class));
    }
}

/// What a server means: nothing, never (`Err`), or so many milliseconds of 31 bits.
fn meaning(values: &[HeaderValue]) -> Option<Result<Duration, ()>> {
    let [value] = values else { return (!values.is_empty()).then_some(Err(())) };
    let number = value.as_bytes().iter().try_fold(0_u64, |sum, digit| {
        let sum = sum * 10 + u64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        (sum <= 0x7FFF_FFFF).then_some(sum)
    });
    let number = number.filter(|_| !value.is_empty());
    Some(number.map(Duration::from_millis).ok_or(()))
}

fn expected(code: Code, said: Option<Result<Duration, ()>>) -> Class {
    match code {
        Code::Ok => Class::Success,
        Code::Cancelled => Class::Ignore,
        Code::ResourceExhausted => {
            let wait = said.and_then(Result::ok);
            Class::Overload { retry_after: wait.map(|wait| wait.min(LONGEST)) }
        }
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Class::Transient,
        _ => Class::Permanent,
    }
}

fn hint(said: Option<Result<Duration, ()>>, class: Class) -> Hint {
    match (said, class) {
        (Some(Ok(wait)), _) => Hint::Exactly(wait),
        (Some(Err(())), _) => Hint::Stop,
        (None, Class::Overload { retry_after: Some(wait) }) => Hint::AtLeast(wait),
        (None, _) => Hint::None,
    }
}

type Body = ReplayBody<tonic::body::Body>;

fn of_head(head: &Response<()>, class: Class) -> Hint {
    let policy = RetryPolicy::new();
    Policy::<Request<Body>, Response<()>, Error<Infallible>>::hint(&policy, Ok(head), class)
}

fn of_status(status: &Status, class: Class) -> Hint {
    let policy = RetryPolicy::new();
    let outcome = Err(status);
    Policy::<tonic::Request<()>, tonic::Response<()>, Status>::hint(&policy, outcome, class)
}

/// A refusal as it goes over the wire, and the hint that is found there.
fn say(bytes: &mut Bytes<'_>) {
    let reason = bytes.pick(&REASONS);
    let wait = Duration::from_micros(bytes.number(u64::MAX));
    let said = Status::from(Rejected::new(reason).after(wait).named("tenant"));
    assert!(!format!("{:?} {}", said.metadata(), said.message()).contains("tenant"));

    // What a client gets: code and metadata, and nothing that only this process knows.
    let got = Status::with_metadata(said.code(), said.message(), said.metadata().clone());
    let class = Codes.classify(Err::<&tonic::Response<()>, _>(&got));
    let Hint::Exactly(hint) = of_status(&got, class) else { panic!("no hint in {got:?}") };
    let (longest, milli) = (Duration::from_millis(0x7FFF_FFFF), Duration::from_millis(1));
    assert!(hint >= wait.min(longest) && hint < (wait + milli).min(longest + milli));
}
