//! The policy below the codec: `http::Request`.

use http::{Request, Response, StatusCode};

use crate::classify::{Class, Classify};
use crate::deadline::Deadline;
use crate::error::Rejectable;
use crate::grpc::codes::{Codes, GRPC_STATUS};
use crate::grpc::retry::policy::{PREVIOUS_ATTEMPTS, Said};
use crate::grpc::retry::{IsIdempotent, RetryPolicy};
use crate::http::{AsError, Replay, copy, mark};
use crate::policy::{Attempt, Hint, Policy};

impl<I, B, R, E> Policy<Request<B>, Response<R>, E> for RetryPolicy<I>
where
    B: Replay,
    E: AsError,
    I: IsIdempotent<Request<B>>,
{
    fn clone_request(&self, request: &Request<B>) -> Option<Request<B>> {
        copy(request)
    }

    fn classify(&self, outcome: Result<&Response<R>, &E>) -> Class
    where
        E: Rejectable,
    {
        Codes.classify(outcome)
    }

    fn may_resend(&self, kept: &Request<B>, outcome: Result<&Response<R>, &E>) -> bool {
        kept.body().can_replay()
            && !outcome.is_ok_and(has_begun)
            && (said(outcome).invites() || self.may_take_effect_twice(kept, kept.headers()))
    }

    fn may_hedge(&self, request: &Request<B>) -> bool {
        request.body().can_replay() && self.may_take_effect_twice(request, request.headers())
    }

    fn hint(&self, outcome: Result<&Response<R>, &E>, class: Class) -> Hint {
        said(outcome).hint(class)
    }

    fn deadline(&self, request: &Request<B>) -> Option<Deadline> {
        request.extensions().get().copied()
    }

    fn mark(&self, request: &mut Request<B>, attempt: Attempt) {
        if attempt.number > 1 {
            request.headers_mut().insert(PREVIOUS_ATTEMPTS, (attempt.number - 1).into());
        }
        mark(request.extensions_mut(), attempt);
    }
}

/// Whether messages may follow this head. A proxy's 502 is no answer of a gRPC server.
fn has_begun<R>(response: &Response<R>) -> bool {
    response.status() == StatusCode::OK && !response.headers().contains_key(GRPC_STATUS)
}

fn said<'a, R, E: AsError>(outcome: Result<&'a Response<R>, &'a E>) -> Said<'a> {
    match outcome {
        Ok(response) => Said::by_head(response),
        Err(error) => Said::by_error(error.as_error()),
    }
}
