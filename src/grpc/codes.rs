//! [`Codes`]: judges gRPC calls.

use http::{HeaderMap, Response, StatusCode};
use tonic::Code;

use crate::classify::{Class, Classify, ClassifyEnd, DefaultClassifier, End, Verdict, of_error};
use crate::grpc::{pushback, status};
use crate::http::AsError;
use crate::rejected::Rejected;

pub(super) const GRPC_STATUS: &str = "grpc-status";

/// Judges gRPC calls by their status code.
///
/// | status | class |
/// | --- | --- |
/// | `OK` | `Success` |
/// | `UNAVAILABLE`, `INTERNAL`, `UNKNOWN`, `DATA_LOSS`, `ABORTED`, `DEADLINE_EXCEEDED` | `Transient` |
/// | `RESOURCE_EXHAUSTED` | `Overload`, with the hint of `grpc-retry-pushback-ms` |
/// | `CANCELLED` | `Ignore` |
/// | every other | `Permanent` |
/// | a refusal of a layer in this process | as the refusal: `Ignore`, or `Transient` for a timeout |
///
/// A negative pushback says not to come back at all and gives no hint, and neither does one that
/// makes no sense. One of more than five minutes is taken for five minutes.
///
/// # In front of a channel or a server: `http::Response`
///
/// The status of an answer stands in its trailers, behind the body. The circuit breaker alone
/// judges by the head: there it sees the status of calls that failed without a body
/// ("trailers-only", which is how tonic's servers report most failures), and takes every other
/// answer for a success. Wrap it in [`HoldBody`](crate::http::HoldBody) to have it wait for the
/// trailers. A body that breaks off, or ends without a status, is `Transient`. An answer that is
/// no gRPC, a proxy's 502 for one, is judged by the
/// [HTTP status mapping](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md)
/// of gRPC.
///
/// # Around a generated client: `tonic::Response`
///
/// There an answer is a success, and the error is a [`Status`](tonic::Status), or has one among
/// its sources.
///
/// ```
/// use buttress::{Class, Classify, grpc::Codes};
/// use tonic::{Response, Status};
///
/// let class = |status: &Status| Codes.classify(Err::<&Response<()>, _>(status));
/// assert_eq!(class(&Status::unavailable("try later")), Class::Transient);
/// assert_eq!(class(&Status::not_found("no such user")), Class::Permanent);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codes;

impl<B, E> Classify<Response<B>, E> for Codes
where
    DefaultClassifier: Classify<(), E>,
{
    fn classify(&self, outcome: Result<&Response<B>, &E>) -> Class {
        match self.at_head(outcome) {
            Verdict::Final(class) => class,
            Verdict::Wait => Class::Success,
        }
    }
}

impl<B, E> ClassifyEnd<Response<B>, E, HeaderMap> for Codes
where
    DefaultClassifier: Classify<(), E>,
{
    fn at_head(&self, outcome: Result<&Response<B>, &E>) -> Verdict {
        let response = match outcome {
            Ok(response) => response,
            Err(error) => return Verdict::Final(DefaultClassifier.classify(Err(error))),
        };
        let class = match response.extensions().get::<Rejected>() {
            Some(rejected) => Some(of_error(rejected)),
            None => of_headers(response.headers()).or_else(|| of_http(response.status())),
        };
        class.map_or(Verdict::Wait, Verdict::Final)
    }

    fn at_end(&self, end: End<'_, HeaderMap>) -> Class {
        match end {
            End::Complete(Some(trailers)) => of_headers(trailers).unwrap_or(Class::Transient),
            End::Complete(None) | End::Failed => Class::Transient,
        }
    }
}

impl<T, E> Classify<tonic::Response<T>, E> for Codes
where
    E: AsError,
{
    fn classify(&self, outcome: Result<&tonic::Response<T>, &E>) -> Class {
        let error = match outcome {
            Ok(_) => return Class::Success,
            Err(error) => error.as_error(),
        };
        match (Rejected::find(error), status::find(error)) {
            (Some(rejected), _) => of_error(rejected),
            (None, Some(status)) => of_code(status.code(), status.metadata().as_ref()),
            (None, None) => Class::Transient,
        }
    }
}

/// What the status among `headers` says, if there is one: of the head, or of the trailers.
fn of_headers(headers: &HeaderMap) -> Option<Class> {
    let status = headers.get(GRPC_STATUS)?;
    Some(of_code(Code::from_bytes(status.as_bytes()), headers))
}

fn of_code(code: Code, headers: &HeaderMap) -> Class {
    match code {
        Code::Ok => Class::Success,
        Code::Unavailable
        | Code::Internal
        | Code::Unknown
        | Code::DataLoss
        | Code::Aborted
        | Code::DeadlineExceeded => Class::Transient,
        Code::ResourceExhausted => Class::Overload { retry_after: pushback::hint(headers) },
        Code::Cancelled => Class::Ignore,
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unauthenticated => Class::Permanent,
    }
}

/// What the HTTP status says of an answer without a gRPC status; nothing, if it is 200.
fn of_http(status: StatusCode) -> Option<Class> {
    let code = match status {
        StatusCode::OK => return None,
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    };
    Some(of_code(code, &HeaderMap::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::AtHead;
    use crate::{Error, Reason};
    use std::convert::Infallible;
    use std::time::Duration;
    use tonic::Status;

    type Answer = Response<()>;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn answer(status: u16, pairs: &[(&'static str, &'static str)]) -> Answer {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        *response.headers_mut() = headers(pairs);
        response
    }

    fn at_head(response: &Answer) -> Verdict {
        Codes.at_head(Ok::<_, &Infallible>(response))
    }

    fn at_end(end: End<'_, HeaderMap>) -> Class {
        ClassifyEnd::<Answer, Infallible, HeaderMap>::at_end(&Codes, end)
    }

    const TABLE: [(Code, Class); 17] = [
        (Code::Ok, Class::Success),
        (Code::Cancelled, Class::Ignore),
        (Code::Unknown, Class::Transient),
        (Code::InvalidArgument, Class::Permanent),
        (Code::DeadlineExceeded, Class::Transient),
        (Code::NotFound, Class::Permanent),
        (Code::AlreadyExists, Class::Permanent),
        (Code::PermissionDenied, Class::Permanent),
        (Code::ResourceExhausted, Class::Overload { retry_after: None }),
        (Code::FailedPrecondition, Class::Permanent),
        (Code::Aborted, Class::Transient),
        (Code::OutOfRange, Class::Permanent),
        (Code::Unimplemented, Class::Permanent),
        (Code::Internal, Class::Transient),
        (Code::Unavailable, Class::Transient),
        (Code::DataLoss, Class::Transient),
        (Code::Unauthenticated, Class::Permanent),
    ];

    #[test]
    fn one_table_at_the_head_at_the_end_and_for_a_status() {
        for (number, (code, class)) in TABLE.into_iter().enumerate() {
            assert_eq!(code as usize, number);
            let mut head = answer(200, &[]);
            head.headers_mut().insert(GRPC_STATUS, (code as i32).into());
            assert_eq!(at_head(&head), Verdict::Final(class), "{code:?}");
            assert_eq!(at_end(End::Complete(Some(head.headers()))), class, "{code:?}");
            if code != Code::Ok {
                let status = Status::new(code, "");
                let verdict = Codes.classify(Err::<&tonic::Response<()>, _>(&status));
                assert_eq!(verdict, class, "{code:?}");
            }
        }
    }

    #[test]
    fn a_head_without_a_status_waits_and_a_plain_classifier_takes_it_for_a_success() {
        let head = answer(200, &[("content-type", "application/grpc")]);
        assert_eq!(at_head(&head), Verdict::Wait);
        assert_eq!(Codes.classify(Ok::<_, &Infallible>(&head)), Class::Success);
        let at_head = AtHead::<_, HeaderMap>::new(Codes);
        assert_eq!(at_head.classify(Ok::<_, &Infallible>(&head)), Class::Success);
    }

    #[test]
    fn an_end_without_a_status_that_can_be_read_is_transient() {
        assert_eq!(at_end(End::Failed), Class::Transient);
        assert_eq!(at_end(End::Complete(None)), Class::Transient);
        assert_eq!(at_end(End::Complete(Some(&headers(&[("x", "0")])))), Class::Transient);
        let rubbish = headers(&[(GRPC_STATUS, "fine")]);
        assert_eq!(at_end(End::Complete(Some(&rubbish))), Class::Transient);
    }

    #[test]
    fn what_is_no_grpc_is_judged_by_its_http_status() {
        for (status, class) in [
            (400, Class::Transient),
            (401, Class::Permanent),
            (403, Class::Permanent),
            (404, Class::Permanent),
            (429, Class::Transient),
            (500, Class::Transient),
            (502, Class::Transient),
            (503, Class::Transient),
            (504, Class::Transient),
            (302, Class::Transient),
        ] {
            assert_eq!(at_head(&answer(status, &[])), Verdict::Final(class), "{status}");
        }
        let both = answer(503, &[(GRPC_STATUS, "5")]);
        assert_eq!(at_head(&both), Verdict::Final(Class::Permanent));
    }

    #[test]
    fn an_overload_carries_its_pushback() {
        let trailers = headers(&[(GRPC_STATUS, "8"), ("grpc-retry-pushback-ms", "250")]);
        let overload = Class::Overload { retry_after: Some(Duration::from_millis(250)) };
        assert_eq!(at_end(End::Complete(Some(&trailers))), overload);

        let mut status = Status::resource_exhausted("");
        status.metadata_mut().insert("grpc-retry-pushback-ms", "250".parse().unwrap());
        assert_eq!(Codes.classify(Err::<&tonic::Response<()>, _>(&status)), overload);
    }

    #[test]
    fn a_refusal_of_this_process_is_judged_as_a_refusal() {
        for (reason, class) in
            [(Reason::CircuitOpen, Class::Ignore), (Reason::TimedOut, Class::Transient)]
        {
            let rejected = Rejected::new(reason);
            let mut response = answer(200, &[(GRPC_STATUS, "14")]);
            response.extensions_mut().insert(rejected.clone());
            assert_eq!(at_head(&response), Verdict::Final(class));

            let status = Status::from(rejected.clone());
            assert_eq!(Codes.classify(Err::<&tonic::Response<()>, _>(&status)), class);

            let error = Error::<Infallible>::Rejected(rejected);
            assert_eq!(Codes.classify(Err::<&Answer, _>(&error)), class);
        }
    }
}
