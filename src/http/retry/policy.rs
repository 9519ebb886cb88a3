//! [`RetryPolicy`].

use std::fmt;

use http::{Extensions, Method, Request, Response};

use crate::classify::{Class, Classify};
use crate::deadline::Deadline;
use crate::error::Rejectable;
use crate::http::retry::key::{self, IDEMPOTENCY_KEY, is_in_progress, is_keyed};
use crate::http::retry::unsent::{AsError, BySource, Unsent, never_sent};
use crate::http::{Replay, Statuses, retry_after};
use crate::policy::{Attempt, Hint, Policy};
use crate::rejected::Rejected;

/// Which HTTP requests may be sent again, and after which answers.
///
/// # Which requests
///
/// Those whose body can be sent again ([`Replay`]) and
///
/// - whose method is idempotent (RFC 9110, section 9.2.2): `GET`, `HEAD`, `OPTIONS`, `TRACE`,
///   `PUT`, `DELETE`;
/// - or that have an `Idempotency-Key`
///   ([draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/)), one
///   that is not empty; see [`stamp_idempotency_keys`](Self::stamp_idempotency_keys);
/// - or that provably were never sent, whatever their method: the connection was refused, an
///   HTTP/2 server refused the stream (RFC 9113, section 8.7), a layer in this process refused the
///   call before it was dispatched, or [`unsent`](Self::unsent) says so.
///
/// The last is judged by the error alone, which is that of the request only if the service inside
/// sends one for each call. A client that follows redirects may have had its `POST` taken, and be
/// refused the connection to where the answer sent it: switch that off, or follow them above the
/// retry.
///
/// A [hedge](crate::hedge) knows no outcome when it sends the second attempt, and so takes only
/// those of the first two kinds.
///
/// # After which answers
///
/// Those that [`Statuses`] calls `Transient` or `Overload`: 408, 429, 5xx except 501 and 505, and
/// errors. Also 409 where its `buttress-refusal` says `in_progress`: an earlier attempt with the
/// same key is running, and a later one gets its answer. Any other refusal of a layer in this
/// process is not tried again. A
/// [classifier of the layer](crate::retry::Builder::classify) may say otherwise.
///
/// # When
///
/// Not before the answer's `Retry-After`, in seconds or as a date, whatever its status. It is
/// believed up to five minutes, and ignored where it makes no sense.
///
/// # Extensions
///
/// A [`Deadline`] in the request's extensions is the deadline of all attempts. The [`Attempt`] is
/// put there for each. In a request without other extensions that allocates.
///
/// ```
/// use axum::body::Body;
/// use buttress::http::{ReplayBody, RetryPolicy};
/// use buttress::{LiftLayer, retry::RetryLayer};
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use tower::ServiceBuilder;
///
/// let client = ServiceBuilder::new()
///     // Keeps what the first attempt streams, for the next.
///     .map_request(ReplayBody::<Body>::wrap)
///     .layer(RetryLayer::new(RetryPolicy::new().stamp_idempotency_keys()))
///     .layer(LiftLayer)
///     .service(Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Body>>());
/// # let _ = client;
/// ```
#[derive(Clone, Copy)]
#[must_use]
pub struct RetryPolicy<U = BySource> {
    unsent: U,
    stamps: bool,
}

impl RetryPolicy {
    /// The policy as described above, which stamps no keys.
    pub fn new() -> Self {
        Self { unsent: BySource, stamps: false }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl<U> RetryPolicy<U> {
    /// Says of further errors that their request was never sent, so that it may be sent again
    /// whatever its method is.
    ///
    /// ```
    /// use buttress::{Error, http::RetryPolicy};
    /// use hyper_util::client::legacy;
    ///
    /// // Whatever went wrong before there was a connection: a name that does not resolve, a
    /// // handshake that failed.
    /// let policy = RetryPolicy::new().unsent(
    ///     |error: &Error<legacy::Error>| matches!(error, Error::Service(error) if error.is_connect()),
    /// );
    /// # let _ = policy;
    /// ```
    pub fn unsent<E, F>(self, unsent: F) -> RetryPolicy<F>
    where
        F: Fn(&E) -> bool,
    {
        RetryPolicy { unsent, stamps: self.stamps }
    }

    /// Gives each `POST` and `PATCH` without an `Idempotency-Key` a fresh one, `"<uuid>"`, which
    /// all its attempts share; so they are sent again as idempotent requests are.
    ///
    /// Only for servers that honour the key: to others it is an unknown header, and an effect may
    /// come twice. The keys are drawn from the operating system. Default: no keys.
    pub fn stamp_idempotency_keys(mut self) -> Self {
        self.stamps = true;
        self
    }
}

impl<U, B, R, E> Policy<Request<B>, Response<R>, E> for RetryPolicy<U>
where
    B: Replay,
    E: AsError,
    U: Unsent<E>,
{
    fn clone_request(&self, request: &Request<B>) -> Option<Request<B>> {
        copy(request)
    }

    fn classify(&self, outcome: Result<&Response<R>, &E>) -> Class
    where
        E: Rejectable,
    {
        match outcome {
            Ok(response) if is_in_progress(response) => Class::Transient,
            _ => Statuses.classify(outcome),
        }
    }

    fn may_resend(&self, kept: &Request<B>, outcome: Result<&Response<R>, &E>) -> bool {
        let was_not_sent = || match outcome {
            // A layer further in refused, and `respond` made it an answer.
            Ok(response) => {
                response.extensions().get().is_some_and(|r: &Rejected| !r.was_dispatched())
            }
            #[cfg(mutant = "post-sent-again")]
            Err(_) => true,
            Err(error) => never_sent(error.as_error()) || self.unsent.is_unsent(error),
        };
        kept.body().can_replay() && (is_idempotent(kept) || was_not_sent())
    }

    fn may_hedge(&self, request: &Request<B>) -> bool {
        request.body().can_replay() && is_idempotent(request)
    }

    fn hint(&self, outcome: Result<&Response<R>, &E>, class: Class) -> Hint {
        let said = match outcome {
            Ok(response) => retry_after::hint(response.headers()),
            Err(error) => Rejected::find(error.as_error()).and_then(Rejected::retry_after),
        };
        let wait = match class {
            Class::Overload { retry_after } => said.or(retry_after),
            _ => said,
        };
        wait.map_or(Hint::None, Hint::AtLeast)
    }

    fn prepare(&self, request: &mut Request<B>) {
        let takes_a_key = matches!(*request.method(), Method::POST | Method::PATCH);
        if self.stamps && takes_a_key && !request.headers().contains_key(IDEMPOTENCY_KEY) {
            request.headers_mut().insert(IDEMPOTENCY_KEY, key::fresh());
        }
    }

    fn deadline(&self, request: &Request<B>) -> Option<Deadline> {
        request.extensions().get().copied()
    }

    fn mark(&self, request: &mut Request<B>, attempt: Attempt) {
        mark(request.extensions_mut(), attempt);
    }
}

impl<U> fmt::Debug for RetryPolicy<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy").field("stamps", &self.stamps).finish_non_exhaustive()
    }
}

fn is_idempotent<B>(request: &Request<B>) -> bool {
    request.method().is_idempotent() || is_keyed(request.headers())
}

/// A request that can be sent in place of this one.
pub(crate) fn copy<B: Replay>(request: &Request<B>) -> Option<Request<B>> {
    let mut copy = Request::new(request.body().replay()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    Some(copy)
}

/// Replaced in place where there is one already: no allocation.
pub(crate) fn mark(extensions: &mut Extensions, attempt: Attempt) {
    match extensions.get_mut() {
        Some(mark) => *mark = attempt,
        None => drop(extensions.insert(attempt)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};

    use super::*;
    use crate::Error;

    fn may_resend(method: Method, key: Option<&'static str>, error: ErrorKind) -> bool {
        let mut request = Request::builder().method(method).body(()).unwrap();
        let key = key.map(|key| (IDEMPOTENCY_KEY, key.parse().unwrap()));
        request.headers_mut().extend(key);
        let error = Error::Service(io::Error::from(error));
        RetryPolicy::new().may_resend(&request, Err::<&Response<()>, _>(&error))
    }

    #[test]
    fn only_what_may_take_effect_twice_or_was_never_sent_is_sent_again() {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            assert!(may_resend(method, None, ErrorKind::ConnectionReset));
        }
        for method in [Method::POST, Method::PATCH] {
            assert!(!may_resend(method.clone(), None, ErrorKind::ConnectionReset), "{method}");
            assert!(!may_resend(method.clone(), Some("\"\""), ErrorKind::ConnectionReset));
            assert!(may_resend(method.clone(), Some("\"k\""), ErrorKind::ConnectionReset));
            assert!(may_resend(method, None, ErrorKind::ConnectionRefused));
        }
    }
}
