//! [`OperationError`].

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::error::{Error, IntoRejected};
use crate::idempotency::execution::Refusal;
use crate::idempotency::{KeyError, StoreError};
use crate::rejected::{Reason, Rejected};

/// What an [`OperationLayer`](super::OperationLayer) answers with where there is no answer of the
/// service.
///
/// It has its own error type, unlike the other layers, since a caller has to tell these cases
/// apart: only after some of them the same request may be sent again. Where the other layers are
/// to understand it, it becomes a [`buttress::Error`](crate::Error) by `.map_err(Error::from)`.
///
/// No text of it shows a key, a scope or what a request asks for.
#[derive(Debug)]
#[non_exhaustive]
pub enum OperationError<E> {
    /// The service's own error, of this request or of an earlier one with the same key.
    Inner(E),
    /// The request has no key, and the layer wants one.
    KeyMissing,
    /// The key makes no sense.
    KeyInvalid(KeyError),
    /// The identity of the request has an empty scope.
    ScopeMissing,
    /// A request with the same key is running.
    InProgress {
        /// When to send this one again.
        retry_after: Duration,
    },
    /// The key was used for another request.
    FingerprintMismatch,
    /// A request with the same key may have taken effect, and nobody knows what came of it.
    OutcomeUnknown,
    /// A request with the same key has run, and what came of it was not kept.
    ResultUnavailable {
        /// 0 if it succeeded, 1 if it failed.
        tag: u16,
    },
    /// The layer has as many requests in it as it may.
    Overloaded,
    /// The store does not answer, or what it keeps cannot be read. The request did not run, unless
    /// its claim was lost to another one while it did.
    Store(StoreError),
}

impl<E> OperationError<E> {
    /// The same in the words that all layers have in common; `None` if it is the service's own
    /// error.
    #[must_use]
    pub fn rejected(&self) -> Option<Rejected> {
        let refusal = Refusal::new(self.reason()?).rejected();
        Some(match self {
            Self::InProgress { retry_after } => refusal.after(*retry_after),
            // Said by the engine, which knows more.
            Self::Store(error) => Rejected::find(error).cloned().unwrap_or(refusal),
            _ => refusal,
        })
    }

    fn reason(&self) -> Option<Reason> {
        Some(match self {
            Self::Inner(_) => return None,
            Self::KeyMissing => Reason::KeyMissing,
            Self::KeyInvalid(_) => Reason::KeyInvalid,
            Self::ScopeMissing => Reason::ScopeMissing,
            Self::InProgress { .. } => Reason::InProgress,
            Self::FingerprintMismatch => Reason::FingerprintMismatch,
            Self::OutcomeUnknown => Reason::OutcomeUnknown,
            Self::ResultUnavailable { .. } => Reason::ResultUnavailable,
            Self::Overloaded => Reason::Overloaded,
            Self::Store(StoreError::Full) => Reason::StoreFull,
            Self::Store(_) => Reason::StoreUnavailable,
        })
    }
}

/// What the engine says, in the words of this error.
impl<E> From<Refusal> for OperationError<E> {
    fn from(refusal: Refusal) -> Self {
        match refusal.reason {
            Reason::InProgress => {
                Self::InProgress { retry_after: refusal.retry_after.unwrap_or_default() }
            }
            Reason::FingerprintMismatch => Self::FingerprintMismatch,
            Reason::OutcomeUnknown => Self::OutcomeUnknown,
            Reason::ResultUnavailable => {
                Self::ResultUnavailable { tag: refusal.tag.unwrap_or_default() }
            }
            Reason::Overloaded => Self::Overloaded,
            Reason::KeyMissing => Self::KeyMissing,
            Reason::ScopeMissing => Self::ScopeMissing,
            Reason::StoreFull => Self::Store(StoreError::Full),
            // What the store said about it, the observers know.
            _ => Self::Store(StoreError::Unavailable(refusal.rejected().into())),
        }
    }
}

impl<E> IntoRejected for OperationError<E> {
    type Service = E;

    fn into_rejected(self) -> Result<Rejected, E> {
        match (self.rejected(), self) {
            (_, Self::Inner(error)) => Err(error),
            (refusal, _) => Ok(refusal.expect("all but the service's own error are refusals")),
        }
    }
}

impl<E> From<OperationError<E>> for Error<E> {
    fn from(error: OperationError<E>) -> Self {
        error.into_rejected().map_or_else(Self::Service, Self::Rejected)
    }
}

impl<E: fmt::Display> fmt::Display for OperationError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => error.fmt(f),
            Self::KeyInvalid(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            _ => f.write_str(self.reason().map_or("", Reason::text)),
        }
    }
}

impl<E: StdError + 'static> StdError for OperationError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Inner(error) => Some(error),
            Self::KeyInvalid(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
