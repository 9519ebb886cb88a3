//! Unary gRPC calls: not yet.

use bytes::Bytes;
use http::{HeaderMap, Response};

use crate::idempotency::http::Problem;
use crate::idempotency::identity::Fingerprint;
use crate::idempotency::outcome::Disposition;

pub(super) fn fingerprint(body: &Bytes, _: Option<(&str, &str)>, _: Option<&[u8]>) -> Fingerprint {
    Fingerprint::of(body)
}
pub(super) fn refusal(problem: &Problem) -> Response<Bytes> {
    problem.respond()
}
pub(super) fn is_one_message(_: &Bytes) -> bool {
    true
}
pub(super) fn judge(_: &HeaderMap, _: Option<&HeaderMap>) -> Disposition {
    Disposition::Release
}
