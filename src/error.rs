//! How a refusal travels in the error that a service already has.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::rejected::Rejected;

/// The boxed error of tower: it can carry a refusal as it is.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// An error type that can carry a refusal, so that layers need not change the error type.
///
/// Implemented by [`Error<E>`] and by `Box<dyn std::error::Error + Send + Sync>`. Implement it for
/// an error enum of your own by giving it a variant for [`Rejected`]:
///
/// ```
/// use buttress::{Rejectable, Rejected};
///
/// enum PaymentError { Declined, Rejected(Rejected) }
///
/// impl From<Rejected> for PaymentError {
///     fn from(rejected: Rejected) -> Self { Self::Rejected(rejected) }
/// }
///
/// impl Rejectable for PaymentError {
///     fn rejected(&self) -> Option<&Rejected> {
///         match self { Self::Rejected(rejected) => Some(rejected), Self::Declined => None }
///     }
/// }
/// ```
///
/// An error that belongs to somebody else (`hyper::Error`, `std::io::Error`, `Infallible`) is
/// lifted into [`Error<E>`] by one line at the bottom of the stack: `.layer(buttress::LiftLayer)`.
#[diagnostic::on_unimplemented(
    message = "the error type `{Self}` cannot carry a refusal of a buttress layer",
    label = "`{Self}` has no room for a `Rejected`",
    note = "lift it: put `.layer(buttress::LiftLayer)` last in the `ServiceBuilder`, right above the service, which makes the error `buttress::Error<{Self}>`",
    note = "for axum and tonic routes, whose error is `Infallible`, wrap the whole stack instead: `buttress::http::respond(stack)` or `buttress::grpc::respond(stack)`"
)]
pub trait Rejectable: From<Rejected> {
    /// The refusal, where this error is one.
    fn rejected(&self) -> Option<&Rejected>;
}

/// Whether the service may have seen the request that ended so.
pub(crate) fn may_be_seen<T, E: Rejectable>(outcome: Result<&T, &E>) -> bool {
    outcome.err().and_then(Rejectable::rejected).is_none_or(Rejected::was_dispatched)
}

/// The outcome of a call of which the service may have seen another attempt. A refusal says so:
/// whoever hears that nothing was dispatched may send the request anew.
pub(crate) fn seen_before<T, E: Rejectable>(outcome: Result<T, E>) -> Result<T, E> {
    if may_be_seen(outcome.as_ref()) || cfg!(mutant = "earlier-attempt-denied") {
        return outcome;
    }
    outcome.map_err(|error| match error.rejected() {
        Some(rejected) => E::from(rejected.clone().dispatched(true)),
        None => error,
    })
}

impl Rejectable for Rejected {
    fn rejected(&self) -> Option<&Rejected> {
        Some(self)
    }
}

impl Rejectable for BoxError {
    fn rejected(&self) -> Option<&Rejected> {
        Rejected::find(&**self)
    }
}

/// Either a refusal of a layer or an error of the service itself.
///
/// Exhaustive on purpose: a `match` on it needs no dead arm.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Error<E> {
    /// A layer answered instead of the service.
    Rejected(Rejected),
    /// The service's own error.
    Service(E),
}

impl<E> From<Rejected> for Error<E> {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl<E> Rejectable for Error<E> {
    fn rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::Service(_) => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Service(error) => error.fmt(f),
        }
    }
}

impl<E: StdError + 'static> StdError for Error<E> {
    // Both variants are transparent to `Display`; giving the inner error as the source lets
    // `Rejected::find` and a downcast reach it.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::Service(error) => Some(error),
        }
    }
}

/// Takes an error apart into a refusal and what else it may be.
///
/// What `http::respond` and `grpc::respond` ask of the stack that they wrap.
pub trait IntoRejected {
    /// What is left where it is not a refusal.
    type Service;

    /// The refusal, or the service's own error.
    ///
    /// # Errors
    ///
    /// The service's own error, where this is not a refusal.
    fn into_rejected(self) -> Result<Rejected, Self::Service>;
}

impl<E> IntoRejected for Error<E> {
    type Service = E;

    fn into_rejected(self) -> Result<Rejected, E> {
        match self {
            Self::Rejected(rejected) => Ok(rejected),
            Self::Service(error) => Err(error),
        }
    }
}

impl IntoRejected for BoxError {
    type Service = Self;

    fn into_rejected(self) -> Result<Rejected, Self> {
        match Rejected::find(&*self) {
            Some(rejected) => Ok(rejected.clone()),
            None => Err(self),
        }
    }
}

impl IntoRejected for Infallible {
    type Service = Self;

    fn into_rejected(self) -> Result<Rejected, Self> {
        match self {}
    }
}

/// Lifts a foreign error `E` into [`Error<E>`], so that layers above can refuse.
///
/// Put it last in a `ServiceBuilder`, right above the service:
///
/// ```
/// use std::{io, time::Duration};
/// use buttress::{LiftLayer, timeout::TimeoutLayer};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let service = ServiceBuilder::new()
///     .layer(TimeoutLayer::new(Duration::from_secs(1)))
///     .layer(LiftLayer)
///     .service_fn(async |name: &'static str| Ok::<_, io::Error>(format!("hello, {name}")));
///
/// let answer: Result<String, buttress::Error<io::Error>> = service.oneshot("world").await;
/// assert_eq!(answer.unwrap(), "hello, world");
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LiftLayer;

impl<S> Layer<S> for LiftLayer {
    type Service = Lift<S>;

    fn layer(&self, inner: S) -> Lift<S> {
        Lift { inner }
    }
}

/// The service of [`LiftLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Lift<S> {
    inner: S,
}

impl<S, Req> Service<Req> for Lift<S>
where
    S: Service<Req>,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = LiftFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Service)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        LiftFuture { inner: self.inner.call(request) }
    }
}

pin_project! {
    /// The response future of [`Lift`].
    #[derive(Debug)]
    pub struct LiftFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, T, E> Future for LiftFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.project().inner.poll(cx)).map_err(Error::Service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rejected::Reason;

    #[test]
    fn a_refusal_owns_up_to_an_earlier_attempt() {
        let refused: Result<(), Error<&str>> = Err(Rejected::new(Reason::CircuitOpen).into());
        assert!(!may_be_seen(refused.as_ref()));
        assert!(may_be_seen(seen_before(refused).as_ref()));
        for untouched in [Ok(()), Err(Error::Service("reset"))] {
            assert_eq!(seen_before(untouched.clone()), untouched);
        }
    }
}
