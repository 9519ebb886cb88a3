//! [`Policy`]: which requests may be sent again, and what an outcome asks for. Shared by the
//! layers that send a request more than once.

use std::fmt;
use std::time::Duration;

use crate::classify::{self, Class, Classify};
use crate::deadline::Deadline;
use crate::error::Rejectable;

/// Says which requests may be sent more than once, and after which outcomes.
///
/// Only [`clone_request`](Self::clone_request) is required. `http::RetryPolicy` and
/// `grpc::RetryPolicy` are ready for use; [`Idempotent`] serves requests that are `Clone` and that
/// may always be sent again. `T` is the response of the service, and `E` its error.
///
/// ```
/// use buttress::retry::Policy;
///
/// #[derive(Clone)]
/// enum Query { Balance, Transfer(u64) }
///
/// struct OnlyReads;
///
/// impl<T, E> Policy<Query, T, E> for OnlyReads {
///     fn clone_request(&self, query: &Query) -> Option<Query> {
///         match query {
///             Query::Balance => Some(query.clone()),
///             Query::Transfer(_) => None,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say whether a request `{Req}` with the outcome `Result<{T}, {E}>` may be sent again",
    note = "`retry::Idempotent` asks for requests that are `Clone`; `http::RetryPolicy` for an `http::Request` whose body is `http::Replay`, such as `http::ReplayBody`",
    note = "both judge errors that are `buttress::Rejectable`: put `.layer(buttress::LiftLayer)` last in the `ServiceBuilder`"
)]
pub trait Policy<Req, T, E> {
    /// What is to be sent in a further attempt; `None` if this request must not be sent twice.
    ///
    /// Called before each attempt but the last, so that the request need not be kept otherwise.
    fn clone_request(&self, request: &Req) -> Option<Req>;

    /// What an outcome says: `Transient` and `Overload` may be tried again.
    ///
    /// Default: as [`DefaultClassifier`](crate::classify::DefaultClassifier) says. By it refusals
    /// of layers further in are not tried again, save timeouts.
    fn classify(&self, outcome: Result<&T, &E>) -> Class
    where
        E: Rejectable,
    {
        outcome.map_or_else(classify::of_error, |_| Class::Success)
    }

    /// Whether the request may be sent again after this outcome. `kept` is what
    /// [`clone_request`](Self::clone_request) made before the attempt. Default: yes.
    fn may_resend(&self, kept: &Req, outcome: Result<&T, &E>) -> bool {
        let _ = (kept, outcome);
        true
    }

    /// Whether the request may be sent a second time while the first attempt is still in flight,
    /// and may have taken effect. Asked by a [hedge](crate::hedge) alone: before the first attempt,
    /// and of what was kept right before the second. Default: yes, if it can be cloned.
    ///
    /// Say no where [`may_resend`](Self::may_resend) depends on the outcome: there is none yet.
    fn may_hedge(&self, request: &Req) -> bool {
        let _ = request;
        true
    }

    /// What the server said about a further attempt. Asked after an outcome of this class, which
    /// is `Transient` or `Overload`. Default: the hint that the class carries.
    fn hint(&self, outcome: Result<&T, &E>, class: Class) -> Hint {
        let _ = outcome;
        match class {
            Class::Overload { retry_after: Some(wait) } => Hint::AtLeast(wait),
            _ => Hint::None,
        }
    }

    /// Makes the request fit for more than one attempt: stamps an idempotency key, for one. Called
    /// once, before the first clone. Default: nothing.
    fn prepare(&self, request: &mut Req) {
        let _ = request;
    }

    /// The deadline of the request, after which no further attempt starts. That the first one does
    /// not, see to by a [timeout](crate::timeout) with the same deadline. Default: none.
    fn deadline(&self, request: &Req) -> Option<Deadline> {
        let _ = request;
        None
    }

    /// Tells the service which attempt this is. Called for every attempt, after the clone for the
    /// next one was made. Default: nothing.
    fn mark(&self, request: &mut Req, attempt: Attempt) {
        let _ = (request, attempt);
    }
}

/// What a server said about a further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Nothing: the backoff decides.
    None,
    /// Not before this long from now (`Retry-After`).
    AtLeast(Duration),
    /// Exactly this long from now; the backoff starts over (`grpc-retry-pushback-ms`).
    Exactly(Duration),
    /// Not at all.
    Stop,
}

/// Which attempt a request is. `http::RetryPolicy` and `grpc::RetryPolicy` put it into the
/// request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Attempt {
    /// 1 for the first call, 2 for the first retry.
    pub number: u32,
    /// The number of the last attempt that there can be: 1 where the request cannot be sent again.
    pub of: u32,
}

impl Attempt {
    /// The attempt `number` of at most `of`.
    #[must_use]
    pub fn new(number: u32, of: u32) -> Self {
        Self { number, of }
    }

    /// Whether no further attempt can follow.
    #[must_use]
    pub fn is_last(self) -> bool {
        self.number >= self.of
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.number, self.of)
    }
}

/// The policy for requests that may be sent any number of times, since a second one changes
/// nothing: they are cloned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idempotent;

impl<Req: Clone, T, E> Policy<Req, T, E> for Idempotent {
    fn clone_request(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

/// A policy with another classifier in place of its own. Made by the builders' `.classify(..)`.
#[derive(Clone, Copy)]
pub struct Classified<P, C> {
    policy: P,
    classifier: C,
}

impl<P, C> Classified<P, C> {
    pub(crate) fn new(policy: P, classifier: C) -> Self {
        Self { policy, classifier }
    }
}

impl<P, C, Req, T, E> Policy<Req, T, E> for Classified<P, C>
where
    P: Policy<Req, T, E>,
    C: Classify<T, E>,
{
    fn clone_request(&self, request: &Req) -> Option<Req> {
        self.policy.clone_request(request)
    }

    fn classify(&self, outcome: Result<&T, &E>) -> Class {
        self.classifier.classify(outcome)
    }

    fn may_resend(&self, kept: &Req, outcome: Result<&T, &E>) -> bool {
        self.policy.may_resend(kept, outcome)
    }

    fn may_hedge(&self, request: &Req) -> bool {
        self.policy.may_hedge(request)
    }

    fn hint(&self, outcome: Result<&T, &E>, class: Class) -> Hint {
        self.policy.hint(outcome, class)
    }

    fn prepare(&self, request: &mut Req) {
        self.policy.prepare(request);
    }

    fn deadline(&self, request: &Req) -> Option<Deadline> {
        self.policy.deadline(request)
    }

    fn mark(&self, request: &mut Req, attempt: Attempt) {
        self.policy.mark(request, attempt);
    }
}

impl<P, C> fmt::Debug for Classified<P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Classified")
    }
}
