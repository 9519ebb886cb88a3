//! [`Rejected`]: what a layer says when it answers a call itself.

use std::error::Error as StdError;
use std::fmt;
use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

/// Why a layer answered a call itself, when to come back, and which layer instance it was.
///
/// Every layer of this crate refuses with this one type, and layers of your own can too:
///
/// ```
/// use std::time::Duration;
/// use buttress::{Reason, Rejected};
///
/// let refusal = Rejected::new(Reason::Overloaded).after(Duration::from_secs(2)).named("gpu");
/// assert_eq!(refusal.reason(), Reason::Overloaded);
/// assert_eq!(refusal.retry_after(), Some(Duration::from_secs(2)));
/// assert_eq!(refusal.to_string(), "overloaded (gpu), retry after 2s");
/// ```
///
/// A refusal is not a failure of the service behind the layer. Outer layers recognise it through
/// [`Rejectable`](crate::Rejectable) and leave it out of their own judgement; only
/// [`Reason::TimedOut`] counts against the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    reason: Reason,
    dispatched: bool,
    retry_after: Option<Duration>,
    name: Option<Arc<str>>,
}

impl Rejected {
    /// A refusal for `reason`, from nobody in particular, without a hint when to come back.
    ///
    /// [`was_dispatched`](Self::was_dispatched) starts as `true` for [`Reason::TimedOut`], which
    /// normally ends a call that is running, and as `false` for every other reason.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            dispatched: matches!(reason, Reason::TimedOut),
            retry_after: None,
            name: None,
        }
    }

    /// Says when a further attempt makes sense, counted from now.
    #[must_use]
    pub fn after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Says which instance refused: the `.name(..)` of its layer.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Says whether the inner service may have seen the request.
    #[must_use]
    pub fn dispatched(mut self, dispatched: bool) -> Self {
        self.dispatched = dispatched;
        self
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// How long to wait before trying again, where the layer knows.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The name of the layer instance that refused.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the inner service may have seen the request, and so may have acted on it.
    ///
    /// `false` is a promise: sending the request again cannot repeat an effect.
    #[must_use]
    pub fn was_dispatched(&self) -> bool {
        self.dispatched
    }

    /// The refusal in `error` or in any of its sources.
    ///
    /// For the far end of a stack, where the error has been boxed or wrapped by somebody else.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        chain(error).find_map(|error| error.downcast_ref())
    }
}

/// An error and what caused it, from outside in.
pub(crate) fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    successors(Some(error), |&error| error.source())
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.text())?;
        if let Some(name) = &self.name {
            write!(f, " ({name})")?;
        }
        match self.retry_after {
            Some(wait) => write!(f, ", retry after {wait:?}"),
            None => Ok(()),
        }
    }
}

impl StdError for Rejected {}

/// Why a layer refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The bulkhead has no free slot, and no room left to wait for one.
    BulkheadFull,
    /// The concurrency limit is reached.
    LimitReached,
    /// The service sheds load.
    Overloaded,
    /// The call waited as long as it may for a slot.
    QueueTimedOut,
    /// The circuit is open, or half open with all its probes out.
    CircuitOpen,
    /// The caller's quota is used up.
    RateLimited,
    /// The call took longer than the time allowed for it.
    TimedOut,
    /// The caller's own deadline has passed.
    DeadlineExceeded,
    /// A request that has to carry an idempotency key has none.
    KeyMissing,
    /// The idempotency key makes no sense.
    KeyInvalid,
    /// Nobody knows whose idempotency key it is.
    ScopeMissing,
    /// The request body could not be read.
    BodyRead,
    /// The request body is longer than what is kept for comparing it with a repetition.
    RequestTooLarge,
    /// The idempotency key was used for another request.
    FingerprintMismatch,
    /// A request with the same idempotency key is running.
    InProgress,
    /// A request with the same idempotency key may have taken effect, and nobody knows what came of
    /// it.
    OutcomeUnknown,
    /// A request with the same idempotency key has run, and its answer was not kept.
    ResultUnavailable,
    /// The store of idempotency records does not answer.
    StoreUnavailable,
    /// The store of idempotency records has no room for another.
    StoreFull,
}

impl Reason {
    /// A stable, machine-readable word for it: in problem documents, headers and metric labels.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::BulkheadFull => "bulkhead_full",
            Self::LimitReached => "limit_reached",
            Self::Overloaded => "overloaded",
            Self::QueueTimedOut => "queue_timed_out",
            Self::CircuitOpen => "circuit_open",
            Self::RateLimited => "rate_limited",
            Self::TimedOut => "timed_out",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::KeyMissing => "key_missing",
            Self::KeyInvalid => "key_invalid",
            Self::ScopeMissing => "scope_missing",
            Self::BodyRead => "body_read",
            Self::RequestTooLarge => "request_too_large",
            Self::FingerprintMismatch => "fingerprint_mismatch",
            Self::InProgress => "in_progress",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::ResultUnavailable => "result_unavailable",
            Self::StoreUnavailable => "store_unavailable",
            Self::StoreFull => "store_full",
        }
    }

    /// The same for people. The adapters show it to callers, so it names nothing but the reason.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::BulkheadFull => "bulkhead full",
            Self::LimitReached => "concurrency limit reached",
            Self::Overloaded => "overloaded",
            Self::QueueTimedOut => "waited too long for a free slot",
            Self::CircuitOpen => "circuit open",
            Self::RateLimited => "rate limit exceeded",
            Self::TimedOut => "timed out",
            Self::DeadlineExceeded => "deadline exceeded",
            Self::KeyMissing => "idempotency key missing",
            Self::KeyInvalid => "idempotency key invalid",
            Self::ScopeMissing => "no scope for the idempotency key",
            Self::BodyRead => "request body could not be read",
            Self::RequestTooLarge => "request body too large",
            Self::FingerprintMismatch => "idempotency key used for another request",
            Self::InProgress => "request with this idempotency key in progress",
            Self::OutcomeUnknown => "outcome of the first request unknown",
            Self::ResultUnavailable => "answer to the first request not kept",
            Self::StoreUnavailable => "idempotency store unavailable",
            Self::StoreFull => "idempotency store full",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapper(Box<dyn StdError + Send + Sync>);

    impl fmt::Display for Wrapper {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl StdError for Wrapper {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&*self.0)
        }
    }

    #[test]
    fn found_at_any_depth_of_the_source_chain() {
        let rejected = Rejected::new(Reason::CircuitOpen).named("db");
        let deep = Wrapper(Box::new(Wrapper(rejected.clone().into())));
        assert_eq!(Rejected::find(&deep), Some(&rejected));
        assert_eq!(Rejected::find(&fmt::Error), None);
    }

    #[test]
    fn only_a_timeout_is_taken_as_dispatched() {
        assert!(Rejected::new(Reason::TimedOut).was_dispatched());
        assert!(!Rejected::new(Reason::TimedOut).dispatched(false).was_dispatched());
        assert!(!Rejected::new(Reason::CircuitOpen).was_dispatched());
    }
}
