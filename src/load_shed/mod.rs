//! Load shedding.

pub use crate::priority::{FindPriority, NoPriority, Priority, PriorityClass};
