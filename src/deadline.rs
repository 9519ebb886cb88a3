//! [`Deadline`]: one absolute instant that a whole chain of calls shares, and the requests that
//! carry it.

use std::time::Duration;

use crate::rejected::Reason;
use crate::time::{self, Instant};

/// The instant after which the caller no longer waits.
///
/// It travels in the request's extensions, so that every layer that waits can stop in time. It is
/// absolute: passing it on shortens nothing, and waiting uses it up.
///
/// ```
/// use std::time::Duration;
/// use buttress::timeout::Deadline;
///
/// let deadline = Deadline::after(Duration::from_secs(3));
/// assert!(deadline.remaining() <= Duration::from_secs(3));
/// assert!(!deadline.has_passed());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// `wait` from now. A wait too long to be held is about thirty years.
    #[must_use]
    pub fn after(wait: Duration) -> Self {
        Self(time::later(time::now(), wait))
    }

    /// At this instant of tokio's clock.
    #[must_use]
    pub fn at(instant: impl Into<Instant>) -> Self {
        Self(instant.into())
    }

    /// The instant, on tokio's clock.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The time left; zero once it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.remaining_at(time::now())
    }

    /// Whether no time is left.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// The end of a wait that has an end of its own, and what that end is called: whichever comes
    /// first.
    pub(crate) fn or_sooner(self, own: (Instant, Reason)) -> (Instant, Reason) {
        if self.0 < own.0 { self.end() } else { own }
    }

    /// The end of a wait that has no other.
    pub(crate) fn end(self) -> (Instant, Reason) {
        (self.0, Reason::DeadlineExceeded)
    }

    pub(crate) fn remaining_at(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }
}

/// Where a layer finds the deadline of a request: [`NoDeadline`], [`FromRequest`], or a closure
/// `Fn(&Req) -> Option<Deadline>`.
///
/// A type parameter of the layers and not a bound on the request, so that requests of any type
/// can pass.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot find a deadline in a request of type `{Req}`",
    note = "`FromRequest` serves requests with extensions (`http::Request` with feature `http`, `tonic::Request` with feature `grpc`); for any other, pass a closure `|request: &{Req}| -> Option<Deadline> {{ .. }}`"
)]
pub trait FindDeadline<Req> {
    /// The deadline of `request`, where it has one.
    fn find_deadline(&self, request: &Req) -> Option<Deadline>;
}

/// Requests have no deadline: the default of every layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoDeadline;

impl<Req> FindDeadline<Req> for NoDeadline {
    fn find_deadline(&self, _: &Req) -> Option<Deadline> {
        None
    }
}

/// The deadline is the [`Deadline`] in the request's extensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FromRequest;

impl<Req: Extended> FindDeadline<Req> for FromRequest {
    fn find_deadline(&self, request: &Req) -> Option<Deadline> {
        request.extension().copied()
    }
}

impl<Req, F> FindDeadline<Req> for F
where
    F: Fn(&Req) -> Option<Deadline>,
{
    fn find_deadline(&self, request: &Req) -> Option<Deadline> {
        self(request)
    }
}

/// A request that carries values by type.
///
/// Implemented for `http::Request` (feature `http`) and `tonic::Request` (feature `grpc`).
pub trait Extended {
    /// The value of type `T` that travels with the request.
    fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T>;
}

/// A request that context can be sent with: [`Extended`], with headers beside.
///
/// Implemented for `http::Request` (feature `http`) and `tonic::Request` (feature `grpc`, whose
/// metadata are its headers). Implement it for requests of a protocol of your own:
///
/// ```
/// use std::any::Any;
/// use buttress::timeout::{Carrier, Deadline, Extended};
///
/// struct Job { headers: Vec<(String, String)>, deadline: Option<Deadline> }
///
/// impl Extended for Job {
///     fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
///         (self.deadline.as_ref()? as &dyn Any).downcast_ref()
///     }
/// }
///
/// impl Carrier for Job {
///     fn header(&self, name: &str) -> Option<&[u8]> {
///         let mut values = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
///         let first = values.next()?.1.as_bytes();
///         Some(if values.next().is_some() { b"" } else { first })
///     }
///
///     fn set_header(&mut self, name: &str, value: &str) {
///         self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
///         self.headers.push((name.to_owned(), value.to_owned()));
///     }
///
///     fn insert_extension<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
///         if let Some(deadline) = (&value as &dyn Any).downcast_ref() {
///             self.deadline = Some(*deadline);
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a request of type `{Self}` cannot carry a deadline over the wire",
    note = "`http::Request` can with feature `http`, and `tonic::Request` with feature `grpc`; implement `buttress::timeout::Carrier` for a request type of your own"
)]
pub trait Carrier: Extended {
    /// The value of this header. The name is in lower case; names are compared without case.
    ///
    /// A header that is there more than once has no one value: it is the empty text, which no
    /// reader takes for a value.
    fn header(&self, name: &str) -> Option<&[u8]>;

    /// Sets this header, in place of whatever values it has. Name and value are good ones for
    /// HTTP.
    fn set_header(&mut self, name: &str, value: &str);

    /// Puts `value` among the extensions, in place of one of its type.
    fn insert_extension<T: Clone + Send + Sync + 'static>(&mut self, value: T);
}
