//! What the outcomes say, and what may be sent again after them.

use buttress::retry::{Attempt, Hint, Policy};
use buttress::timeout::Deadline;
use buttress::{Class, Error};

use super::service::Broken;
use super::{Call, Failure, ms};
use crate::bytes::Bytes;

pub(super) fn class_of(outcome: Result<&(), &Failure>) -> Class {
    match outcome {
        Ok(()) => Class::Success,
        Err(Error::Service(Broken::Down)) => Class::Transient,
        Err(Error::Service(Broken::Overloaded(hint))) => Class::Overload { retry_after: *hint },
        Err(Error::Rejected(_)) => Class::Ignore,
    }
}

/// A policy that tries again more than is wise.
#[allow(clippy::struct_excessive_bools)] // Choices.
pub(super) struct Again {
    /// Refusals too.
    refusals: bool,
    only_once: bool,
    stops: bool,
    marks: bool,
}

impl Again {
    pub(super) fn new(bytes: &mut Bytes<'_>) -> Self {
        let set = bytes.byte();
        Self {
            refusals: set & 1 != 0,
            only_once: set & 2 != 0,
            stops: set & 4 != 0,
            marks: set & 8 != 0,
        }
    }
}

impl Policy<Call, (), Failure> for Again {
    fn clone_request(&self, call: &Call) -> Option<Call> {
        (!self.only_once).then(|| call.clone())
    }

    fn classify(&self, outcome: Result<&(), &Failure>) -> Class {
        match outcome {
            Err(Error::Rejected(_)) if self.refusals => Class::Transient,
            outcome => class_of(outcome),
        }
    }

    fn hint(&self, _: Result<&(), &Failure>, class: Class) -> Hint {
        match class {
            Class::Overload { .. } if self.stops => Hint::Stop,
            Class::Overload { retry_after: Some(wait) } if wait > ms(50_000) => Hint::Exactly(wait),
            Class::Overload { retry_after: Some(wait) } => Hint::AtLeast(wait),
            _ => Hint::None,
        }
    }

    fn deadline(&self, call: &Call) -> Option<Deadline> {
        call.extensions().get().copied()
    }

    fn mark(&self, call: &mut Call, attempt: Attempt) {
        if self.marks {
            call.extensions_mut().insert(attempt);
        }
    }
}
