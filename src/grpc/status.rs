//! Refusals as [`tonic::Status`], and back.

use std::error::Error as StdError;
use std::sync::Arc;

use http::HeaderValue;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status, TimeoutExpired};

use crate::error::{BoxError, Error, IntoRejected, Rejectable};
use crate::grpc::pushback::{self, PUSHBACK};
use crate::http::{AsError, REFUSAL};
use crate::rejected::{Reason, Rejected, chain};

/// The status that says a refusal. The refusal itself is its source, so
/// [`Rejected::find`] gives it back.
impl From<Rejected> for Status {
    fn from(rejected: Rejected) -> Self {
        let reason = rejected.reason();
        let mut headers = http::HeaderMap::new();
        headers.insert(REFUSAL, HeaderValue::from_static(reason.code()));
        if let Some(millis) = pushback::of(&rejected) {
            headers.insert(PUSHBACK, millis.into());
        }
        let metadata = MetadataMap::from_headers(headers);
        let mut status = Self::with_metadata(code(reason), reason.text(), metadata);
        status.set_source(Arc::new(rejected));
        status
    }
}

// What the compiler proposes instead of an error type should not depend on a feature.
#[diagnostic::do_not_recommend]
impl Rejectable for Status {
    fn rejected(&self) -> Option<&Rejected> {
        Rejected::find(self)
    }
}

impl AsError for Status {
    fn as_error(&self) -> &(dyn StdError + 'static) {
        self
    }
}

/// The status in `error` or in any of its sources.
pub(super) fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Status> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The last status on the way along the sources of `error`: those before it were made of it.
pub(super) fn innermost<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Status> {
    chain(error).filter_map(|error| error.downcast_ref()).last()
}

impl IntoRejected for Status {
    type Service = Self;

    fn into_rejected(self) -> Result<Rejected, Self> {
        match Rejected::find(&self) {
            Some(rejected) => Ok(rejected.clone()),
            None => Err(self),
        }
    }
}

/// For `.map_err(Status::from)` on top of a client's stack: without it tonic reports a refusal
/// as `UNKNOWN`.
impl<E> From<Error<E>> for Status
where
    E: Into<BoxError>,
{
    fn from(error: Error<E>) -> Self {
        match error {
            Error::Rejected(rejected) => rejected.into(),
            Error::Service(error) => {
                let error = error.into();
                // It may be a refusal from further in, in somebody else's box.
                match Rejected::find(&*error) {
                    Some(rejected) => rejected.clone().into(),
                    None if is_expiry(&*error) => {
                        let mut status = Self::deadline_exceeded(Reason::DeadlineExceeded.text());
                        status.set_source(error.into());
                        status
                    }
                    None => Self::from_error(error),
                }
            }
        }
    }
}

/// Whether tonic's channel has ended the call, by the `grpc-timeout` that it was to send. tonic
/// calls that `CANCELLED`, and gRPC `DEADLINE_EXCEEDED`.
fn is_expiry(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(<dyn StdError>::is::<TimeoutExpired>)
}

pub(super) fn code(reason: Reason) -> Code {
    match reason {
        Reason::BulkheadFull
        | Reason::LimitReached
        | Reason::Overloaded
        | Reason::QueueTimedOut
        | Reason::CircuitOpen
        | Reason::StoreUnavailable
        | Reason::StoreFull => Code::Unavailable,
        Reason::RateLimited | Reason::RequestTooLarge => Code::ResourceExhausted,
        Reason::TimedOut | Reason::DeadlineExceeded => Code::DeadlineExceeded,
        Reason::KeyMissing | Reason::KeyInvalid | Reason::BodyRead => Code::InvalidArgument,
        Reason::ScopeMissing => Code::PermissionDenied,
        Reason::InProgress => Code::Aborted,
        Reason::OutcomeUnknown | Reason::ResultUnavailable | Reason::FingerprintMismatch => {
            Code::FailedPrecondition
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::every_reason;
    use std::time::Duration;

    #[test]
    fn a_refusal_survives_the_way_through_a_status() {
        for reason in every_reason() {
            let rejected = Rejected::new(reason).named("tenant-7");
            let status = Status::from(rejected.clone());
            assert_eq!(status.rejected(), Some(&rejected));
            assert_eq!(status.metadata().get("buttress-refusal").unwrap(), reason.code());
            assert_eq!(status.message(), reason.text());
            assert!(!format!("{:?}", status.metadata()).contains("tenant"));
            assert_eq!(status.into_rejected().unwrap(), rejected);
        }
        assert!(Status::not_found("").into_rejected().is_err());
    }

    #[test]
    fn codes_and_pushback() {
        let status = |reason| Status::from(Rejected::new(reason).after(Duration::from_secs(2)));
        assert_eq!(status(Reason::BulkheadFull).code(), Code::Unavailable);
        assert_eq!(status(Reason::TimedOut).code(), Code::DeadlineExceeded);
        assert_eq!(status(Reason::RateLimited).code(), Code::ResourceExhausted);
        let open = status(Reason::CircuitOpen);
        assert_eq!(open.code(), Code::Unavailable);
        assert_eq!(open.metadata().get(PUSHBACK).unwrap(), "2000");
        let quiet = Status::from(Rejected::new(Reason::CircuitOpen));
        assert!(quiet.metadata().get(PUSHBACK).is_none());
    }

    #[test]
    fn a_timeout_of_the_channel_is_an_exceeded_deadline() {
        let error = Error::Service(BoxError::from(TimeoutExpired(())));
        let status = Status::from(error);
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(StdError::source(&status).unwrap().is::<TimeoutExpired>());
        assert!(status.into_rejected().is_err(), "no layer of this crate has refused it");
    }

    #[test]
    fn the_service_s_own_error_keeps_its_status() {
        let error = Error::Service(Status::not_found("no such user"));
        assert_eq!(Status::from(error).code(), Code::NotFound);
        let error = Error::<Status>::Rejected(Rejected::new(Reason::TimedOut));
        assert_eq!(Status::from(error).code(), Code::DeadlineExceeded);
        let boxed: BoxError = Error::<Status>::Rejected(Rejected::new(Reason::TimedOut)).into();
        assert_eq!(Status::from(Error::Service(boxed)).code(), Code::DeadlineExceeded);
    }
}
