//! How long each call may take.

use std::fmt;
use std::time::Duration;

use crate::deadline::Extended;
use crate::policy::Attempt;

/// The limit of one call: [`Fixed`], [`LastUnbounded`], or a closure `Fn(&Req) -> Duration`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot choose a time limit for a request of type `{Req}`",
    note = "pass a closure `|request: &{Req}| -> Duration {{ .. }}` to `per_request`"
)]
pub trait FindLimit<Req> {
    /// The limit for `request`; `None` for the layer's own. [`Duration::MAX`] is no limit.
    fn find_limit(&self, request: &Req) -> Option<Duration>;
}

/// The same limit for all calls: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed;

impl<Req> FindLimit<Req> for Fixed {
    fn find_limit(&self, _: &Req) -> Option<Duration> {
        None
    }
}

impl<Req, F> FindLimit<Req> for F
where
    F: Fn(&Req) -> Duration,
{
    fn find_limit(&self, request: &Req) -> Option<Duration> {
        Some(self(request))
    }
}

/// No limit for the last attempt of a retry, and what `P` says for every other. Made by
/// [`Builder::last_attempt_unbounded`](super::Builder::last_attempt_unbounded).
#[derive(Clone, Copy)]
pub struct LastUnbounded<P> {
    others: P,
}

impl<P> LastUnbounded<P> {
    pub(super) fn new(others: P) -> Self {
        Self { others }
    }
}

impl<Req, P> FindLimit<Req> for LastUnbounded<P>
where
    Req: Extended,
    P: FindLimit<Req>,
{
    fn find_limit(&self, request: &Req) -> Option<Duration> {
        match request.extension::<Attempt>() {
            Some(attempt) if attempt.is_last() => Some(Duration::MAX),
            _ => self.others.find_limit(request),
        }
    }
}

impl<P> fmt::Debug for LastUnbounded<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastUnbounded")
    }
}
