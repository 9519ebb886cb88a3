//! What travels through the stack under test: a request, an answer, a failure.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::classify::{Class, Classify, of_error};
use crate::deadline::{Carrier, Deadline, Extended};
use crate::error::{BoxError, Error, Rejectable};
use crate::policy::{Attempt, Policy};
use crate::rejected::chain;

/// A request of a simulated client.
///
/// It carries a [`Deadline`] and the [`Attempt`] as extensions do, and headers, so that the layers
/// that look for them find them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The same for all attempts of one request, and for nothing else in the run.
    pub id: u64,
    /// The tenant, host, whatever the requests are spread over: below
    /// [`Clients::keys`](super::Clients::keys).
    pub key: u64,
    /// Until when the answer is of use.
    pub deadline: Option<Deadline>,
    /// Which attempt of the stack it is, where its retry policy says so ([`RetryPolicy`] does).
    pub attempt: Option<Attempt>,
    headers: Vec<(String, String)>,
    client: u32,
}

impl Request {
    pub(super) fn new(id: u64, key: u64, deadline: Deadline, client: u32) -> Self {
        let deadline = Some(deadline);
        Self { id, key, deadline, attempt: None, headers: Vec::new(), client }
    }

    /// The index of the group of clients.
    pub(super) fn client(&self) -> u32 {
        self.client
    }
}

impl Extended for Request {
    fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        let deadline = self.deadline.as_ref().map(|deadline| deadline as &dyn Any);
        let attempt = self.attempt.as_ref().map(|attempt| attempt as &dyn Any);
        deadline.and_then(<dyn Any>::downcast_ref).or(attempt.and_then(<dyn Any>::downcast_ref))
    }
}

impl Carrier for Request {
    fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_bytes())
    }

    fn set_header(&mut self, name: &str, value: &str) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    fn insert_extension<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        let value = &value as &dyn Any;
        self.deadline = value.downcast_ref().copied().or(self.deadline);
        self.attempt = value.downcast_ref().copied().or(self.attempt);
    }
}

/// The answer of a simulated server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// Of which request.
    pub id: u64,
}

impl Response {
    pub(super) fn to(request: &Request) -> Self {
        Self { id: request.id }
    }
}

/// What a simulated server answers instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// It could not be reached, and has not seen the request.
    Unreachable,
    /// It crashed while it had the request.
    Reset,
    /// It failed, after the usual work.
    Failed,
    /// Its line was full, or a layer of its own refused the request.
    Overloaded {
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
    },
}

impl Failure {
    /// The failure in an error or in what caused it.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        chain(error).find_map(|error| error.downcast_ref())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "server unreachable",
            Self::Reset => "server crashed",
            Self::Failed => "server failed",
            Self::Overloaded { .. } => "server overloaded",
        })
    }
}

impl StdError for Failure {}

/// Judges the failures of simulated servers: [`Failure::Overloaded`] is [`Class::Overload`], the
/// others are [`Class::Transient`]; a refusal of a layer is ignored, unless it is a timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures;

impl<T, E: FindFailure> Classify<T, E> for Failures {
    fn classify(&self, outcome: Result<&T, &E>) -> Class {
        let Err(error) = outcome else { return Class::Success };
        match error.failure() {
            Some(Failure::Overloaded { retry_after }) => Class::Overload { retry_after },
            _ => of_error(error),
        }
    }
}

/// An error in which the failure of a simulated server can travel: [`Error<Failure>`] and the
/// boxed error of tower.
pub trait FindFailure: Rejectable {
    /// The failure, where this error is one.
    fn failure(&self) -> Option<Failure>;
}

impl FindFailure for Error<Failure> {
    fn failure(&self) -> Option<Failure> {
        match self {
            Self::Service(failure) => Some(*failure),
            Self::Rejected(_) => None,
        }
    }
}

impl FindFailure for BoxError {
    fn failure(&self) -> Option<Failure> {
        Failure::find(&**self).copied()
    }
}

/// The retry policy for simulated requests: all may be sent again, until their deadline, as
/// [`Failures`] judges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryPolicy;

impl<T, E: FindFailure> Policy<Request, T, E> for RetryPolicy {
    fn clone_request(&self, request: &Request) -> Option<Request> {
        Some(request.clone())
    }

    fn classify(&self, outcome: Result<&T, &E>) -> Class {
        Failures.classify(outcome)
    }

    fn deadline(&self, request: &Request) -> Option<Deadline> {
        request.deadline
    }

    fn mark(&self, request: &mut Request, attempt: Attempt) {
        request.attempt = Some(attempt);
    }
}
