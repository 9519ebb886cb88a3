//! A [`Problem`] as a gRPC status.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response};

use crate::idempotency::http::Problem;
use crate::idempotency::http::grpc::status::STATUS;
use crate::rejected::Reason;

const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The `domain` of the `ErrorInfo`.
const DOMAIN: &str = "buttress";

/// The problem as a response that is trailers only: HTTP says 200 to every call.
pub(in super::super) fn refusal(problem: &Problem) -> Response<Bytes> {
    let message = format!("{}: {}", problem.title(), problem.detail());
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(STATUS, code(problem.reason()).into());
    let details = base64(&details(problem, &message));
    headers.insert(DETAILS, details.try_into().expect("the letters of base64"));
    // Texts of this crate: nothing in them would have to be percent-encoded.
    headers.insert(MESSAGE, message.try_into().expect("plain ASCII"));
    if let Some(wait) = problem.retry_after() {
        headers.insert(PUSHBACK, millis(wait).into());
    }
    problem.mark(&mut response);
    response
}

/// The same numbers as `From<Rejected>` for `tonic::Status`, which is there with feature `grpc`.
fn code(reason: Reason) -> u16 {
    match reason {
        Reason::KeyMissing | Reason::KeyInvalid | Reason::BodyRead => 3,
        Reason::TimedOut | Reason::DeadlineExceeded => 4,
        Reason::ScopeMissing => 7,
        Reason::RequestTooLarge | Reason::RateLimited => 8,
        Reason::OutcomeUnknown | Reason::ResultUnavailable | Reason::FingerprintMismatch => 9,
        Reason::InProgress => 10,
        Reason::StoreUnavailable
        | Reason::StoreFull
        | Reason::BulkheadFull
        | Reason::LimitReached
        | Reason::Overloaded
        | Reason::QueueTimedOut
        | Reason::CircuitOpen => 14,
    }
}

/// Rounded up, so that nobody comes too early. gRPC gives the number 32 bits.
fn millis(wait: Duration) -> i32 {
    i32::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

/// A `google.rpc.Status` with an `ErrorInfo`: where clients look for a reason that machines can
/// read ([AIP-193](https://google.aip.dev/193)).
fn details(problem: &Problem, message: &str) -> Vec<u8> {
    let mut info = Vec::new();
    text(1, &problem.code().to_ascii_uppercase(), &mut info);
    text(2, DOMAIN, &mut info);
    if let Some(original) = problem.original_status() {
        let mut entry = Vec::new();
        text(1, "original_status", &mut entry);
        text(2, &original.to_string(), &mut entry);
        bytes(3, &entry, &mut info);
    }
    let mut any = Vec::new();
    text(1, "type.googleapis.com/google.rpc.ErrorInfo", &mut any);
    bytes(2, &info, &mut any);
    let mut status = vec![1 << 3];
    varint(code(problem.reason()).into(), &mut status);
    text(2, message, &mut status);
    bytes(3, &any, &mut status);
    status
}

fn text(field: u8, text: &str, out: &mut Vec<u8>) {
    bytes(field, text.as_bytes(), out);
}

/// A field of protobuf that has a length.
fn bytes(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(field << 3 | 2);
    varint(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Seven bits in each byte, the lowest first, and a bit that says that more follow.
fn varint(mut number: usize, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Without padding, as gRPC wants its binary headers.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = (0..3)
            .fold(0_usize, |bits, at| bits << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        for letter in 0..=chunk.len() {
            text.push(char::from(LETTERS[bits >> (18 - 6 * letter) & 63]));
        }
    }
    text
}

#[cfg(test)]
mod tests;
