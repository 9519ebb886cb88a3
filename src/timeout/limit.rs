//! How long each call may take.

use std::time::Duration;

/// The limit of one call: [`Fixed`], or a closure `Fn(&Req) -> Duration`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot choose a time limit for a request of type `{Req}`",
    note = "pass a closure `|request: &{Req}| -> Duration {{ .. }}` to `per_request`"
)]
pub trait FindLimit<Req> {
    /// The limit for `request`; `None` for the layer's own.
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
