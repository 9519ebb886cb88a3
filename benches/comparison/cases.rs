//! What is compared: one row of the table each, and in it everybody who does the same.

mod ours;

use crate::drive::Subject;

/// Somebody's way to do what a row is about.
pub(crate) struct Case {
    pub(crate) row: &'static str,
    pub(crate) whose: &'static str,
    pub(crate) make: fn() -> Box<dyn Subject>,
}

pub(crate) const BARE: &str = "bare service";
pub(crate) const OURS: &str = "buttress";

/// Every case; those of a row stand together, ours first.
pub(crate) fn all() -> Vec<Case> {
    ours::cases()
}
