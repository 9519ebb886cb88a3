//! [`Render`]: what the protocols that [`Respond`](super::Respond) speaks have in common.

use http::{HeaderName, HeaderValue, Response};

use crate::http::respond::ResponseBody;
use crate::rejected::Rejected;

/// The header that marks a response as a refusal of a layer of this crate, and not the service's
/// own answer: `buttress-refusal`. Its value is [`Reason::code`](crate::Reason::code).
pub const REFUSAL: HeaderName = HeaderName::from_static("buttress-refusal");

/// How a protocol says a refusal.
pub trait Render {
    /// The status, the headers and the body, if any.
    ///
    /// The body is static so that refusing builds no text. It follows that it can hold nothing
    /// but the reason: no name, key or tenant gets out by mistake.
    fn render(rejected: &Rejected) -> Response<&'static str>;
}

/// The response that says `rejected`, with the marker header, and with `rejected` itself in its
/// extensions for whoever is in this process.
pub(super) fn refuse<R: Render, B>(rejected: Rejected) -> Response<ResponseBody<B>> {
    let mut response = R::render(&rejected).map(ResponseBody::refusal);
    let code = HeaderValue::from_static(rejected.reason().code());
    response.headers_mut().insert(REFUSAL, code);
    response.extensions_mut().insert(rejected);
    response
}

/// All of them, for the tests of the tables. A new reason does not compile until it is here.
#[cfg(test)]
pub(crate) fn every_reason() -> impl Iterator<Item = crate::Reason> {
    use crate::Reason;
    std::iter::successors(Some(Reason::BulkheadFull), |reason| match reason {
        Reason::BulkheadFull => Some(Reason::LimitReached),
        Reason::LimitReached => Some(Reason::Overloaded),
        Reason::Overloaded => Some(Reason::QueueTimedOut),
        Reason::QueueTimedOut => Some(Reason::CircuitOpen),
        Reason::CircuitOpen => Some(Reason::RateLimited),
        Reason::RateLimited => Some(Reason::TimedOut),
        Reason::TimedOut => Some(Reason::DeadlineExceeded),
        Reason::DeadlineExceeded => Some(Reason::KeyMissing),
        Reason::KeyMissing => Some(Reason::KeyInvalid),
        Reason::KeyInvalid => Some(Reason::ScopeMissing),
        Reason::ScopeMissing => Some(Reason::BodyRead),
        Reason::BodyRead => Some(Reason::RequestTooLarge),
        Reason::RequestTooLarge => Some(Reason::FingerprintMismatch),
        Reason::FingerprintMismatch => Some(Reason::InProgress),
        Reason::InProgress => Some(Reason::OutcomeUnknown),
        Reason::OutcomeUnknown => Some(Reason::ResultUnavailable),
        Reason::ResultUnavailable => Some(Reason::StoreUnavailable),
        Reason::StoreUnavailable => Some(Reason::StoreFull),
        Reason::StoreFull => None,
    })
}
