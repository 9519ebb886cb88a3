//! The policy around a method: `tonic::Request`.

use tonic::{Request, Response};

use crate::classify::{Class, Classify};
use crate::deadline::Deadline;
use crate::grpc::Codes;
use crate::grpc::retry::policy::{PREVIOUS_ATTEMPTS, Said};
use crate::grpc::retry::{IsIdempotent, RetryPolicy};
use crate::http::{AsError, mark};
use crate::policy::{Attempt, Hint, Policy};

impl<I, T, U, E> Policy<Request<T>, Response<U>, E> for RetryPolicy<I>
where
    T: Clone,
    E: AsError,
    I: IsIdempotent<Request<T>>,
{
    fn clone_request(&self, request: &Request<T>) -> Option<Request<T>> {
        Some(Request::from_parts(
            request.metadata().clone(),
            request.extensions().clone(),
            request.get_ref().clone(),
        ))
    }

    fn classify(&self, outcome: Result<&Response<U>, &E>) -> Class {
        Codes.classify(outcome)
    }

    fn may_resend(&self, kept: &Request<T>, outcome: Result<&Response<U>, &E>) -> bool {
        // There are messages already.
        let Err(error) = outcome else { return false };
        Said::by_error(error.as_error()).invites()
            || self.may_take_effect_twice(kept, kept.metadata().as_ref())
    }

    fn may_hedge(&self, request: &Request<T>) -> bool {
        self.may_take_effect_twice(request, request.metadata().as_ref())
    }

    fn hint(&self, outcome: Result<&Response<U>, &E>, class: Class) -> Hint {
        let said = outcome.err().map_or(Said::Nothing, |error| Said::by_error(error.as_error()));
        said.hint(class)
    }

    fn deadline(&self, request: &Request<T>) -> Option<Deadline> {
        request.extensions().get().copied()
    }

    fn mark(&self, request: &mut Request<T>, attempt: Attempt) {
        if attempt.number > 1 {
            request.metadata_mut().insert(PREVIOUS_ATTEMPTS, (attempt.number - 1).into());
        }
        mark(request.extensions_mut(), attempt);
    }
}
