//! [`RetryPolicy`].

use std::error::Error as StdError;
use std::fmt;

use http::{HeaderMap, Response};
use tonic::{Code, ConnectError, Status};

use crate::classify::Class;
use crate::grpc::codes::GRPC_STATUS;
use crate::grpc::pushback::{self, Pushback};
use crate::grpc::retry::{Always, IsIdempotent, Paths, Undeclared};
use crate::grpc::status;
use crate::http::{is_keyed, never_sent};
use crate::policy::Hint;
use crate::rejected::{Rejected, chain};

/// How many attempts came before: none, where it is missing
/// ([gRPC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md)).
pub(super) const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";

/// Which gRPC calls may be sent again, and after which statuses.
///
/// # Which calls
///
/// - Those declared idempotent: [`idempotent`](Self::idempotent),
///   [`idempotent_paths`](Self::idempotent_paths), [`idempotent_if`](Self::idempotent_if).
/// - Those with one `idempotency-key` in their metadata that is not empty.
/// - Those that the server ended with `UNAVAILABLE`, which says that the call may be tried again
///   ([AIP-194](https://google.aip.dev/194)). A status that this side's channel has made of an
///   error, of a connection that broke for one, says nothing of the kind.
/// - Those that the server invites to come again, by a `grpc-retry-pushback-ms` that is not
///   negative ([gRPC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md)).
/// - Those that provably were never sent: there was no connection to be had, the server refused the
///   stream, or a layer in this process refused the call before it was dispatched.
///
/// A [hedge](crate::hedge) knows no outcome when it sends the second attempt, and so takes only
/// those of the first two kinds.
///
/// A call whose answer has begun is committed (gRPC A6) and is not sent again: its head came
/// without a `grpc-status`, and messages may follow.
///
/// # After which statuses
///
/// Those that [`Codes`](crate::grpc::Codes) calls `Transient` or `Overload`: `UNAVAILABLE`,
/// `INTERNAL`, `UNKNOWN`, `DATA_LOSS`, `ABORTED`, `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED`. A refusal
/// of a layer in this process is not tried again. A
/// [classifier of the layer](crate::retry::Builder::classify) may say otherwise.
///
/// # When
///
/// After exactly as many milliseconds as `grpc-retry-pushback-ms` says; the backoff starts over.
/// One that is negative, or makes no sense, means that there is no further attempt.
///
/// # Extensions and metadata
///
/// A [`Deadline`](crate::timeout::Deadline) in the request's extensions is the deadline of all
/// attempts. The [`Attempt`](crate::retry::Attempt) is put there for each, which allocates. The
/// second attempt and those after it say `grpc-previous-rpc-attempts`.
///
/// # In front of a channel: `http::Request`
///
/// Below the codec the request is a stream of bytes, which
/// [`ReplayBody`](crate::http::ReplayBody) keeps. One stack serves all methods of a client:
///
/// ```
/// use buttress::{LiftLayer, grpc::RetryPolicy, http::ReplayBody, retry::RetryLayer};
/// use http::Request;
/// use tonic::{Status, body::Body, transport::Endpoint};
/// use tonic_health::pb::health_client::HealthClient;
/// use tower::ServiceBuilder;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let reads = RetryPolicy::new().idempotent_paths(|path| path.ends_with("/Check"));
/// let client = HealthClient::new(
///     ServiceBuilder::new()
///         .map_err(Status::from)
///         .map_request(ReplayBody::<Body>::wrap)
///         .layer(RetryLayer::new(reads))
///         .layer(LiftLayer)
///         // The channel takes tonic's own body only.
///         .map_request(|request: Request<ReplayBody<_>>| request.map(Body::new))
///         .service(Endpoint::from_static("http://localhost:50051").connect_lazy()),
/// );
/// # let _ = client;
/// # }
/// ```
///
/// # Around one method: `tonic::Request`
///
/// There the message is cloned, and the error is a `tonic::Status`, or has one among its sources.
#[derive(Clone, Copy)]
#[must_use]
pub struct RetryPolicy<I = Undeclared> {
    pub(super) idempotent: I,
}

impl RetryPolicy {
    /// The policy as described above, with no call declared idempotent.
    pub fn new() -> Self {
        Self { idempotent: Undeclared }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl<I> RetryPolicy<I> {
    /// Every call may take effect twice. Default: nothing is known of any.
    pub fn idempotent(self) -> RetryPolicy<Always> {
        RetryPolicy { idempotent: Always }
    }

    /// The calls with such a path, `/package.Service/Method`, may take effect twice. In front of a
    /// channel only: a `tonic::Request` does not know its path.
    pub fn idempotent_paths<F>(self, paths: F) -> RetryPolicy<Paths<F>>
    where
        F: Fn(&str) -> bool,
    {
        RetryPolicy { idempotent: Paths(paths) }
    }

    /// The calls that `judge` says `true` to may take effect twice. Called with the copy that is
    /// to be sent.
    pub fn idempotent_if<Req, F>(self, judge: F) -> RetryPolicy<F>
    where
        F: Fn(&Req) -> bool,
    {
        RetryPolicy { idempotent: judge }
    }

    /// Whether a second time changes nothing: known of the call itself, before any outcome.
    pub(super) fn may_take_effect_twice<Req>(&self, request: &Req, headers: &HeaderMap) -> bool
    where
        I: IsIdempotent<Req>,
    {
        is_keyed(headers) || self.idempotent.is_idempotent(request)
    }
}

impl<I> fmt::Debug for RetryPolicy<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RetryPolicy")
    }
}

/// What was said about a further attempt, by whoever said it.
pub(super) enum Said<'a> {
    /// A layer in this process refused.
    Refusal(&'a Rejected),
    /// The call ended with a status.
    Status(Code, &'a HeaderMap),
    /// This side's channel made a status of an error.
    Channel(&'a Status),
    /// The call ended with another error.
    Error(&'a (dyn StdError + 'static)),
    /// The answer has begun, or is no gRPC.
    Nothing,
}

impl<'a> Said<'a> {
    pub(super) fn by_error(error: &'a (dyn StdError + 'static)) -> Self {
        match (Rejected::find(error), status::innermost(error)) {
            (Some(rejected), _) => Self::Refusal(rejected),
            // What came over the wire has no source.
            (None, Some(status)) if status.source().is_some() => Self::Channel(status),
            (None, Some(status)) => Self::Status(status.code(), status.metadata().as_ref()),
            (None, None) => Self::Error(error),
        }
    }

    pub(super) fn by_head<B>(response: &'a Response<B>) -> Self {
        if let Some(rejected) = response.extensions().get() {
            return Self::Refusal(rejected);
        }
        match response.headers().get(GRPC_STATUS) {
            Some(status) => Self::Status(Code::from_bytes(status.as_bytes()), response.headers()),
            None => Self::Nothing,
        }
    }

    /// Whether even a call that may take effect only once may be sent again.
    pub(super) fn invites(&self) -> bool {
        match self {
            Self::Refusal(rejected) => !rejected.was_dispatched(),
            Self::Status(Code::Unavailable, _) => true,
            Self::Status(_, headers) => matches!(pushback::read(headers), Some(Pushback::After(_))),
            Self::Channel(status) => never_connected(*status) || never_sent(*status),
            Self::Error(error) => never_connected(*error) || never_sent(*error),
            Self::Nothing => false,
        }
    }

    pub(super) fn hint(&self, class: Class) -> Hint {
        let pushback = match self {
            Self::Status(_, headers) => pushback::read(headers),
            Self::Channel(status) => pushback::read(status.metadata().as_ref()),
            Self::Refusal(_) | Self::Error(_) | Self::Nothing => None,
        };
        let wait = match (pushback, self) {
            (Some(Pushback::After(wait)), _) => return Hint::Exactly(wait),
            (Some(Pushback::Never), _) => return Hint::Stop,
            (None, Self::Refusal(rejected)) => rejected.retry_after(),
            (None, _) => None,
        };
        match (wait, class) {
            (Some(wait), _) | (None, Class::Overload { retry_after: Some(wait) }) => {
                Hint::AtLeast(wait)
            }
            _ => Hint::None,
        }
    }
}

/// Whether tonic's channel had no connection to send the call over.
fn never_connected(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(<dyn StdError>::is::<ConnectError>)
}
