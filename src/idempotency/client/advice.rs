//! [`classify`]: what an answer says about another attempt with the same key.

use std::time::Duration;

use http::{Response, StatusCode};

use crate::http::{is_in_progress, retry_after_hint};

/// What an answer to a request with an idempotency key says about another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryAdvice {
    /// Send it again, with the same key.
    Retry {
        /// Not before this long from now, where the answer's `Retry-After` says so.
        after: Option<Duration>,
    },
    /// The answer is final, or another attempt would get the same.
    Stop,
}

/// What to do after this answer to a request with an idempotency key.
///
/// | answer | advice |
/// | --- | --- |
/// | 408, 425, 429, 500, 502, 503, 504 | retry with the same key |
/// | 409 whose `buttress-refusal` header says `in_progress` | the same: an earlier attempt is running |
/// | everything else | stop |
///
/// So it stops at 400 and 413, at 422, which says that the key was used for another request, and at
/// 409 with `outcome_unknown` or `result_unavailable`: what happened has to be found out otherwise.
///
/// A 500 makes sense to send again where the server forgets a key that ended in one, as
/// `IdempotencyLayer` does by default. Where it keeps them
/// ([`RetryPolicy::stop_at_500`](super::RetryPolicy::stop_at_500)), a retry is answered with the
/// same 500.
///
/// `Retry-After` is read as [`http::Statuses`](crate::http::Statuses) reads it, and believed up to
/// five minutes. No body is read.
///
/// ```
/// use std::time::Duration;
/// use buttress::idempotency::{RetryAdvice, classify};
/// use http::Response;
///
/// let busy = Response::builder()
///     .status(409)
///     .header("buttress-refusal", "in_progress")
///     .header("retry-after", "1")
///     .body(())
///     .unwrap();
/// assert_eq!(classify(&busy), RetryAdvice::Retry { after: Some(Duration::from_secs(1)) });
/// ```
#[must_use]
pub fn classify<B>(response: &Response<B>) -> RetryAdvice {
    let again = match response.status() {
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => true,
        _ => is_in_progress(response),
    };
    if again {
        RetryAdvice::Retry { after: retry_after_hint(response.headers()) }
    } else {
        RetryAdvice::Stop
    }
}
