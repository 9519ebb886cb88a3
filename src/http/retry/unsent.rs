//! Failures that provably came before the request was sent.

use std::error::Error as StdError;
use std::io;

use crate::error::{BoxError, Error};
use crate::rejected::{Rejected, chain};

/// An error that can be looked into: itself, and what caused it.
///
/// What the retry policies for HTTP and gRPC ask of an error. Implemented for `BoxError`, for
/// [`Error<E>`](crate::Error) where `E` is a standard error, and for [`Rejected`]. For an error of
/// your own it is one line:
///
/// ```
/// # use std::{error, fmt};
/// # #[derive(Debug)] struct PaymentError;
/// # impl fmt::Display for PaymentError { fn fmt(&self, _: &mut fmt::Formatter) -> fmt::Result { Ok(()) } }
/// # impl error::Error for PaymentError {}
/// use buttress::http::AsError;
///
/// impl AsError for PaymentError {
///     fn as_error(&self) -> &(dyn error::Error + 'static) { self }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the retry policy cannot look into the error `{Self}`",
    note = "for an error of your own: `impl buttress::http::AsError for {Self} {{ fn as_error(&self) -> &(dyn std::error::Error + 'static) {{ self }} }}`",
    note = "for any other: put `.layer(buttress::LiftLayer)` last in the `ServiceBuilder`"
)]
pub trait AsError {
    /// The error, whose `source`s can be walked.
    fn as_error(&self) -> &(dyn StdError + 'static);
}

impl AsError for BoxError {
    fn as_error(&self) -> &(dyn StdError + 'static) {
        &**self
    }
}

impl<E: StdError + 'static> AsError for Error<E> {
    fn as_error(&self) -> &(dyn StdError + 'static) {
        self
    }
}

impl AsError for Rejected {
    fn as_error(&self) -> &(dyn StdError + 'static) {
        self
    }
}

/// Says of an error that its request was never sent, beyond those of which that is known anyway:
/// [`BySource`], or a closure `Fn(&E) -> bool`.
pub trait Unsent<E> {
    /// Whether the request was provably not sent.
    fn is_unsent(&self, error: &E) -> bool;
}

/// Only those errors whose sources show that the request was not sent: the default of
/// [`RetryPolicy`](super::RetryPolicy).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BySource;

impl<E> Unsent<E> for BySource {
    fn is_unsent(&self, _: &E) -> bool {
        false
    }
}

impl<E, F> Unsent<E> for F
where
    F: Fn(&E) -> bool,
{
    fn is_unsent(&self, error: &E) -> bool {
        self(error)
    }
}

/// How `h2` says that the peer refused a stream.
///
/// RFC 9113, section 8.7: a stream that is reset with `REFUSED_STREAM` has had no processing. `h2`
/// is found by this text and not by its type: it would be a dependency whose version has to be
/// that of the user's client, and would find nothing where it is not. A test holds the text
/// against a real connection.
const REFUSED_STREAM: &str =
    "stream error received: refused stream before processing any application logic";

/// Whether the error or one of its sources proves that the request was not sent.
pub(crate) fn never_sent(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|error| {
        if let Some(rejected) = error.downcast_ref::<Rejected>() {
            return !rejected.was_dispatched();
        }
        match error.downcast_ref::<io::Error>() {
            Some(error) => error.kind() == io::ErrorKind::ConnectionRefused,
            None => error.to_string() == REFUSED_STREAM,
        }
    })
}
