//! `Retry-After` and the statuses of HTTP: what is read, against the grammar, and what is said,
//! read again.
//!
//! An input is the header's value, a line break, and the value of `Date`, if any.

use std::convert::Infallible;
use std::future::ready as ready_with;
use std::time::Duration;

use buttress::http::{Statuses, respond};
use buttress::{Class, Classify, Error, Reason, Rejected};
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use httpdate::{fmt_http_date, parse_http_date};
use tower::layer::layer_fn;
use tower::{Layer, Service, service_fn};

use crate::bytes::Bytes;
use crate::support::{REASONS, now, ready};

const LONGEST: Duration = Duration::from_mins(5);

pub(crate) fn run(data: &[u8]) {
    say(&mut Bytes::new(data));
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let value = lines.next().and_then(|value| HeaderValue::from_bytes(value).ok());
    let sent = lines.next().map(HeaderValue::from_bytes).transpose();
    if let (Some(value), Ok(sent)) = (value, sent) {
        read(&value, sent.as_ref());
    }
}

fn read(value: &HeaderValue, date: Option<&HeaderValue>) {
    let judge = |status: u16| {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert(RETRY_AFTER, value.clone());
        if let Some(date) = date {
            response.headers_mut().insert(DATE, date.clone());
        }
        class_of(&response)
    };
    for status in 100..600 {
        match (status, judge(status)) {
            (429 | 503, Class::Overload { retry_after }) => check(value, date, retry_after),
            (_, class) => assert_eq!(class, class_by_status(status)),
        }
    }
}

fn class_by_status(status: u16) -> Class {
    match status {
        ..400 => Class::Success,
        408 | 500 | 502..=504 | 506.. => Class::Transient,
        _ => Class::Permanent,
    }
}

/// Holds a hint against the header that it was read from.
fn check(value: &HeaderValue, date: Option<&HeaderValue>, hint: Option<Duration>) {
    let value = value.as_bytes().trim_ascii();
    if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
        let seconds = value.iter().fold(0_u64, |sum, digit| {
            sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
        });
        assert_eq!(hint, Some(Duration::from_secs(seconds).min(LONGEST)));
        return;
    }
    let date_of = |text: &[u8]| parse_http_date(std::str::from_utf8(text).ok()?).ok();
    let Some(wanted) = date_of(value) else { return assert_eq!(hint, None) };
    let hint = hint.expect("a date is a hint");
    assert!(hint <= LONGEST);
    if let Some(sent) = date.and_then(|date| date_of(date.as_bytes())) {
        assert_eq!(hint, wanted.duration_since(sent).unwrap_or_default().min(LONGEST));
        // The other forms of a date mean what the preferred one means.
        assert_eq!(date_of(fmt_http_date(wanted).as_bytes()), Some(wanted));
    }
}

/// A refusal as it goes over the wire, and the hint that is found there.
fn say(bytes: &mut Bytes<'_>) {
    let reason = bytes.pick(&REASONS);
    let wait =
        Duration::from_millis(bytes.number(u64::MAX)) + Duration::from_nanos(bytes.number(3));
    let refused = Rejected::new(reason).after(wait).named("tenant");
    let refuse = move |_| {
        let refused = refused.clone();
        ready_with(Err::<Response<()>, _>(Error::<Infallible>::Rejected(refused)))
    };
    let stack = layer_fn(|_| service_fn(refuse.clone()));
    let mut service = respond(stack).layer(());
    let Ok(said) = now(ready(&mut service).call(Request::new(())));
    assert_eq!(class_of(&said), own_class(reason));

    // What a client gets: the header, and nothing that only this process knows.
    let mut got = Response::new(());
    *got.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    got.headers_mut().insert(RETRY_AFTER, said.headers()[RETRY_AFTER].clone());
    let Class::Overload { retry_after: Some(hint) } = class_of(&got) else {
        panic!("no hint in {got:?}");
    };
    let second = Duration::from_secs(1);
    assert!(hint >= wait.min(LONGEST) && hint < (wait + second).min(LONGEST + second));
    assert!(!format!("{:?}", said.headers()).contains("tenant"));
}

fn own_class(reason: Reason) -> Class {
    if reason == Reason::TimedOut { Class::Transient } else { Class::Ignore }
}

fn class_of<B>(response: &Response<B>) -> Class {
    Statuses.classify(Ok::<_, &Infallible>(response))
}
