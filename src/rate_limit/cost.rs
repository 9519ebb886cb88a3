//! What a call costs.

/// The cost of a call: [`Fixed`], or a closure `Fn(&Req) -> u32`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say what a request of type `{Req}` costs",
    note = "pass a closure `|request: &{Req}| -> u32 {{ .. }}` to `cost`"
)]
pub trait FindCost<Req> {
    /// What `request` costs; `None` for what the layer says of all calls.
    fn find_cost(&self, request: &Req) -> Option<u32>;
}

/// The same cost for all calls: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed;

impl<Req> FindCost<Req> for Fixed {
    #[inline(always)]
    fn find_cost(&self, _: &Req) -> Option<u32> {
        None
    }
}

impl<Req, F> FindCost<Req> for F
where
    F: Fn(&Req) -> u32,
{
    #[inline(always)]
    fn find_cost(&self, request: &Req) -> Option<u32> {
        Some(self(request))
    }
}
