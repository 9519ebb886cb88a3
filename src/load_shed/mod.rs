//! Load shedding.

#[cfg_attr(not(test), expect(dead_code, reason = "until the layer asks it"))]
mod threshold;

pub use crate::priority::{FindPriority, NoPriority, Priority, PriorityClass, UserLevels};
