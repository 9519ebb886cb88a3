//! [`Statuses`]: judges HTTP responses.

use http::{HeaderMap, Response, StatusCode};

use crate::classify::{Class, Classify, ClassifyEnd, DefaultClassifier, End, Verdict, of_error};
use crate::http::retry_after;
use crate::rejected::Rejected;

/// Judges HTTP responses by their status.
///
/// | response | class |
/// | --- | --- |
/// | 429, 503 | `Overload`, with the hint of its `Retry-After` |
/// | 501, 505 | `Permanent` |
/// | 408 and every other 5xx | `Transient` |
/// | every other 4xx | `Permanent` |
/// | everything else | `Success` |
/// | a refusal made by [`respond`](super::respond) in this process | as the refusal: `Ignore`, or `Transient` for a timeout |
///
/// `Retry-After` is understood as seconds and as a date in any of the three forms of RFC 9110. A
/// date is compared with the response's own `Date`, or with this machine's clock where it has
/// none. A hint of more than five minutes is taken for five minutes; one that makes no sense is
/// left out.
///
/// Errors are judged as [`DefaultClassifier`] judges them, so this works with every error type
/// that is [`Rejectable`](crate::Rejectable), and with `Infallible`.
///
/// With [`HoldBody`](super::HoldBody), a success waits for the end of its body: one that breaks
/// off is `Transient`.
///
/// ```
/// use buttress::{Class, Classify, Error, http::Statuses};
/// use http::Response;
///
/// let busy = Response::builder().status(503).header("retry-after", "7").body(()).unwrap();
/// let class = Statuses.classify(Ok::<_, &Error<std::io::Error>>(&busy));
/// assert!(matches!(class, Class::Overload { retry_after: Some(wait) } if wait.as_secs() == 7));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statuses;

impl<B, E> Classify<Response<B>, E> for Statuses
where
    DefaultClassifier: Classify<(), E>,
{
    fn classify(&self, outcome: Result<&Response<B>, &E>) -> Class {
        match outcome {
            Ok(response) => match response.extensions().get::<Rejected>() {
                Some(rejected) => of_error(rejected),
                None => of_status(response.status(), response.headers()),
            },
            Err(error) => DefaultClassifier.classify(Err(error)),
        }
    }
}

impl<B, E> ClassifyEnd<Response<B>, E, HeaderMap> for Statuses
where
    DefaultClassifier: Classify<(), E>,
{
    fn at_head(&self, outcome: Result<&Response<B>, &E>) -> Verdict {
        match self.classify(outcome) {
            Class::Success => Verdict::Wait,
            class => Verdict::Final(class),
        }
    }

    fn at_end(&self, end: End<'_, HeaderMap>) -> Class {
        match end {
            End::Complete(_) => Class::Success,
            End::Failed => Class::Transient,
        }
    }
}

fn of_status(status: StatusCode, headers: &HeaderMap) -> Class {
    match status.as_u16() {
        429 | 503 => Class::Overload { retry_after: retry_after::hint(headers) },
        // Not implemented, and the HTTP version not supported: asking again changes neither.
        501 | 505 => Class::Permanent,
        408 | 500..=599 => Class::Transient,
        400..=499 => Class::Permanent,
        _ => Class::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Reason};
    use std::convert::Infallible;
    use std::time::Duration;

    type Answer = Response<&'static str>;

    fn answer(status: u16) -> Answer {
        Response::builder().status(status).body("").unwrap()
    }

    fn class(response: &Answer) -> Class {
        Statuses.classify(Ok::<_, &Infallible>(response))
    }

    #[test]
    fn the_whole_table() {
        for status in 100..=999 {
            let expected = match status {
                429 | 503 => Class::Overload { retry_after: None },
                408 | 500 | 502 | 504 | 506..=599 => Class::Transient,
                400..=499 | 501 | 505 => Class::Permanent,
                _ => Class::Success,
            };
            assert_eq!(class(&answer(status)), expected, "{status}");
        }
    }

    #[test]
    fn an_overload_carries_its_hint() {
        let mut response = answer(429);
        response.headers_mut().insert("retry-after", "3".parse().unwrap());
        let retry_after = Some(Duration::from_secs(3));
        assert_eq!(class(&response), Class::Overload { retry_after });
    }

    #[test]
    fn a_refusal_of_this_process_is_judged_as_a_refusal() {
        let mut response = answer(503);
        response.extensions_mut().insert(Rejected::new(Reason::CircuitOpen));
        assert_eq!(class(&response), Class::Ignore);
        response.extensions_mut().insert(Rejected::new(Reason::TimedOut));
        assert_eq!(class(&response), Class::Transient);
    }

    #[test]
    fn errors_are_judged_as_without_http() {
        let class = |error: Error<&str>| Statuses.classify(Err::<&Answer, _>(&error));
        assert_eq!(class(Error::Service("reset")), Class::Transient);
        assert_eq!(class(Rejected::new(Reason::RateLimited).into()), Class::Ignore);
        assert_eq!(class(Rejected::new(Reason::TimedOut).into()), Class::Transient);
    }

    fn at_head(response: &Answer) -> Verdict {
        Statuses.at_head(Ok::<_, &Infallible>(response))
    }

    fn at_end(end: End<'_, HeaderMap>) -> Class {
        ClassifyEnd::<Answer, Infallible, HeaderMap>::at_end(&Statuses, end)
    }

    #[test]
    fn only_a_success_waits_for_the_end() {
        assert_eq!(at_head(&answer(200)), Verdict::Wait);
        assert_eq!(at_head(&answer(404)), Verdict::Final(Class::Permanent));
        assert_eq!(at_head(&answer(500)), Verdict::Final(Class::Transient));
        assert_eq!(at_end(End::Complete(None)), Class::Success);
        assert_eq!(at_end(End::Failed), Class::Transient);
    }
}
