//! Load shedding.

#[cfg_attr(not(test), expect(dead_code, reason = "until the layer asks it"))]
mod threshold;
mod throttle;

pub use crate::priority::{FindPriority, NoPriority, Priority, PriorityClass, UserLevels};
pub use throttle::{
    Throttle, ThrottleBuilder, ThrottleConfig, ThrottleFuture, ThrottleHandle, ThrottleLayer,
    ThrottledCall,
};
