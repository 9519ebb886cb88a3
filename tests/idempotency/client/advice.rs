//! `classify`.

use std::time::Duration;

use buttress::Reason;

use buttress::idempotency::{RetryAdvice, classify};
use http::Response;

/// The header that says which refusal an answer is.
const REFUSAL: &str = "buttress-refusal";

fn answer(status: u16, headers: &[(&'static str, &str)]) -> Response<()> {
    let mut response = Response::builder().status(status).body(()).unwrap();
    for (name, value) in headers {
        response.headers_mut().append(*name, value.parse().unwrap());
    }
    response
}

#[test]
fn the_whole_table() {
    for status in 100..=999 {
        let expected = match status {
            408 | 425 | 429 | 500 | 502 | 503 | 504 => RetryAdvice::Retry { after: None },
            _ => RetryAdvice::Stop,
        };
        assert_eq!(classify(&answer(status, &[])), expected, "{status}");
    }
}

#[test]
fn a_409_is_worth_another_attempt_while_the_first_one_runs_and_only_then() {
    for reason in [
        Reason::KeyMissing,
        Reason::FingerprintMismatch,
        Reason::OutcomeUnknown,
        Reason::ResultUnavailable,
        Reason::StoreUnavailable,
    ] {
        let refused = answer(409, &[(REFUSAL, reason.code())]);
        assert_eq!(classify(&refused), RetryAdvice::Stop, "{reason}");
    }
    let running = [(REFUSAL, "in_progress")];
    assert_eq!(classify(&answer(409, &running)), RetryAdvice::Retry { after: None });
    // Only together with its status: what else says so was not written by an idempotency layer.
    for status in [200, 400, 404, 410, 422] {
        assert_eq!(classify(&answer(status, &running)), RetryAdvice::Stop, "{status}");
    }
}

#[test]
fn what_the_server_says_about_the_wait_is_passed_on() {
    for (said, after) in [("7", Some(7)), ("0", Some(0)), ("86400", Some(300)), ("soon", None)] {
        let after = after.map(Duration::from_secs);
        for response in [
            answer(503, &[("retry-after", said)]),
            answer(409, &[("retry-after", said), (REFUSAL, "in_progress")]),
        ] {
            assert_eq!(classify(&response), RetryAdvice::Retry { after }, "{said}");
        }
        assert_eq!(classify(&answer(422, &[("retry-after", said)])), RetryAdvice::Stop);
    }
    let date = [
        ("date", "Sun, 06 Nov 1994 08:49:07 GMT"),
        ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ];
    let after = Some(Duration::from_secs(30));
    assert_eq!(classify(&answer(429, &date)), RetryAdvice::Retry { after });
}
