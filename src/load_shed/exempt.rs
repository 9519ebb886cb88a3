//! Which requests are never shed.

/// Says which requests are exempt: [`Nobody`], or a closure `Fn(&Req) -> bool`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell whether a request of type `{Req}` is exempt",
    note = "pass a closure `|request: &{Req}| -> bool {{ .. }}`"
)]
pub trait FindExempt<Req> {
    /// Whether `request` is never shed.
    fn is_exempt(&self, request: &Req) -> bool;
}

/// No request is exempt but by its priority: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nobody;

impl<Req> FindExempt<Req> for Nobody {
    fn is_exempt(&self, _: &Req) -> bool {
        false
    }
}

impl<Req, F> FindExempt<Req> for F
where
    F: Fn(&Req) -> bool,
{
    fn is_exempt(&self, request: &Req) -> bool {
        self(request)
    }
}
