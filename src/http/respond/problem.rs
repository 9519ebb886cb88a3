//! [`Problem`]: refusals as RFC 9457 documents.

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::http::respond::render::Render;
use crate::http::retry_after;
use crate::rejected::{Reason, Rejected};

/// Says refusals as `application/problem+json`: the renderer of [`respond`](super::respond).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Problem;

/// What a refusal asks for that does not know when to come back. A client that gets no
/// `Retry-After` at all tends to come back at once.
const UNKNOWN_WAIT: Duration = Duration::from_secs(1);

impl Render for Problem {
    fn render(rejected: &Rejected) -> Response<&'static str> {
        let (status, document) = document(rejected.reason());
        let mut response = Response::new(document);
        *response.status_mut() = status;

        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let unknown = comes_back(rejected.reason()).then_some(UNKNOWN_WAIT);
        if let Some(wait) = rejected.retry_after().or(unknown) {
            headers.insert(RETRY_AFTER, retry_after::value(wait));
        }
        response
    }
}

/// One line for each reason; without one for a new reason it does not compile. The documents are
/// written out by the compiler, so that a refusal formats nothing.
macro_rules! documents {
    ($($reason:ident: $status:literal $name:ident, $of:literal $code:literal, $title:literal;)*) => {
        /// The status and the document of a refusal.
        pub(crate) fn document(reason: Reason) -> (StatusCode, &'static str) {
            match reason {
                $(Reason::$reason => (
                    StatusCode::$name,
                    concat!(
                        r#"{"type":"urn:problem-type:"#,
                        $of,
                        ":",
                        $code,
                        r#"","title":""#,
                        $title,
                        r#"","status":"#,
                        $status,
                        r#","code":""#,
                        $code,
                        r#""}"#
                    ),
                ),)*
            }
        }
    };
}

documents! {
    BulkheadFull: 503 SERVICE_UNAVAILABLE, "buttress" "bulkhead_full", "bulkhead full";
    LimitReached: 503 SERVICE_UNAVAILABLE, "buttress" "limit_reached", "concurrency limit reached";
    Overloaded: 503 SERVICE_UNAVAILABLE, "buttress" "overloaded", "overloaded";
    QueueTimedOut: 503 SERVICE_UNAVAILABLE, "buttress" "queue_timed_out", "waited too long for a free slot";
    CircuitOpen: 503 SERVICE_UNAVAILABLE, "buttress" "circuit_open", "circuit open";
    RateLimited: 429 TOO_MANY_REQUESTS, "buttress" "rate_limited", "rate limit exceeded";
    TimedOut: 504 GATEWAY_TIMEOUT, "buttress" "timed_out", "timed out";
    DeadlineExceeded: 504 GATEWAY_TIMEOUT, "buttress" "deadline_exceeded", "deadline exceeded";
    KeyMissing: 400 BAD_REQUEST, "idempotency" "key_missing", "idempotency key missing";
    KeyInvalid: 400 BAD_REQUEST, "idempotency" "key_invalid", "idempotency key invalid";
    BodyRead: 400 BAD_REQUEST, "idempotency" "body_read", "request body could not be read";
    ScopeMissing: 403 FORBIDDEN, "idempotency" "scope_missing", "no scope for the idempotency key";
    InProgress: 409 CONFLICT, "idempotency" "in_progress", "request with this idempotency key in progress";
    OutcomeUnknown: 409 CONFLICT, "idempotency" "outcome_unknown", "outcome of the first request unknown";
    ResultUnavailable: 409 CONFLICT, "idempotency" "result_unavailable", "answer to the first request not kept";
    RequestTooLarge: 413 PAYLOAD_TOO_LARGE, "idempotency" "request_too_large", "request body too large";
    FingerprintMismatch: 422 UNPROCESSABLE_ENTITY, "idempotency" "fingerprint_mismatch", "idempotency key used for another request";
    StoreUnavailable: 503 SERVICE_UNAVAILABLE, "idempotency" "store_unavailable", "idempotency store unavailable";
    StoreFull: 503 SERVICE_UNAVAILABLE, "idempotency" "store_full", "idempotency store full";
}

/// Whether the same request may do better in a moment, so that somebody should say when.
pub(crate) fn comes_back(reason: Reason) -> bool {
    matches!(document(reason).0, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
        || reason == Reason::InProgress
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::respond::render::every_reason;

    fn of(reason: Reason) -> &'static str {
        if (reason as usize) < (Reason::KeyMissing as usize) { "buttress" } else { "idempotency" }
    }

    #[test]
    fn every_document_agrees_with_the_vocabulary() {
        for reason in every_reason() {
            let response = Problem::render(&Rejected::new(reason));
            let document: serde_json::Value = serde_json::from_str(response.body()).unwrap();
            let expected = serde_json::json!({
                "type": format!("urn:problem-type:{}:{reason}", of(reason)),
                "title": reason.text(),
                "status": response.status().as_u16(),
                "code": reason.code(),
            });
            assert_eq!(document, expected);
        }
    }

    #[test]
    fn the_statuses_and_the_wait_where_none_is_known() {
        for reason in every_reason() {
            let response = Problem::render(&Rejected::new(reason));
            let (status, retry_after) = match reason {
                Reason::RateLimited => (429, Some("1")),
                Reason::TimedOut | Reason::DeadlineExceeded => (504, None),
                Reason::KeyMissing | Reason::KeyInvalid | Reason::BodyRead => (400, None),
                Reason::ScopeMissing => (403, None),
                Reason::InProgress => (409, Some("1")),
                Reason::OutcomeUnknown | Reason::ResultUnavailable => (409, None),
                Reason::RequestTooLarge => (413, None),
                Reason::FingerprintMismatch => (422, None),
                _ => (503, Some("1")),
            };
            assert_eq!(response.status(), status, "{reason}");
            let header = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap());
            assert_eq!(header, retry_after, "{reason}");
        }
    }

    #[test]
    fn a_known_wait_is_said_whatever_the_reason() {
        for reason in every_reason() {
            let rejected = Rejected::new(reason).after(Duration::from_millis(2500));
            assert_eq!(Problem::render(&rejected).headers()[RETRY_AFTER], "3", "{reason}");
        }
    }

    #[test]
    fn the_name_of_the_layer_stays_inside() {
        for reason in every_reason() {
            let response = Problem::render(&Rejected::new(reason).named("tenant-7"));
            let said = format!("{:?} {}", response.headers(), response.body());
            assert!(!said.contains("tenant"), "{said}");
        }
    }
}
