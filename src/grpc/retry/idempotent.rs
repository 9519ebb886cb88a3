//! [`IsIdempotent`]: which calls are declared idempotent.

use std::fmt;

use http::Request;

/// Which calls may take effect twice: [`Undeclared`], [`Always`], [`Paths`], or a closure
/// `Fn(&Req) -> bool`.
pub trait IsIdempotent<Req> {
    /// Whether this call is declared idempotent.
    fn is_idempotent(&self, request: &Req) -> bool;
}

/// Nothing is known of any call: the default of [`RetryPolicy`](super::RetryPolicy).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undeclared;

impl<Req> IsIdempotent<Req> for Undeclared {
    fn is_idempotent(&self, _: &Req) -> bool {
        false
    }
}

/// Every call is idempotent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Always;

impl<Req> IsIdempotent<Req> for Always {
    fn is_idempotent(&self, _: &Req) -> bool {
        true
    }
}

/// The calls whose path, `/package.Service/Method`, the closure says `true` to.
#[derive(Clone, Copy)]
pub struct Paths<F>(pub(super) F);

impl<B, F> IsIdempotent<Request<B>> for Paths<F>
where
    F: Fn(&str) -> bool,
{
    fn is_idempotent(&self, request: &Request<B>) -> bool {
        (self.0)(request.uri().path())
    }
}

impl<F> fmt::Debug for Paths<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Paths")
    }
}

impl<Req, F> IsIdempotent<Req> for F
where
    F: Fn(&Req) -> bool,
{
    fn is_idempotent(&self, request: &Req) -> bool {
        self(request)
    }
}
