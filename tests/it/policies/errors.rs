//! Errors for the policies to judge.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use buttress::{BoxError, Error};

/// Somebody else's error, with a cause.
#[derive(Debug)]
pub(super) struct Wrapped(pub(super) BoxError);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrapped")
    }
}

impl StdError for Wrapped {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

pub(super) type Fault = Error<Wrapped>;

pub(super) fn fault(cause: impl Into<BoxError>) -> Fault {
    Error::Service(Wrapped(Wrapped(cause.into()).into()))
}

pub(super) fn io(kind: io::ErrorKind) -> io::Error {
    io::Error::from(kind)
}

/// As `h2` words it; `adapters::h2` holds that against a connection.
pub(super) const REFUSED_STREAM: &str =
    "stream error received: refused stream before processing any application logic";
