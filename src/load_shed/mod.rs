//! Load shedding.

mod config;
mod drive;
mod excess;
mod exempt;
mod future;
mod gate;
mod handle;
mod layer;
mod line;
mod queued;
mod service;
mod signal;
mod stall;
mod state;
mod threshold;

pub use crate::priority::{FindPriority, NoPriority, Priority, PriorityClass, UserLevels};
pub use config::{Config, QueueDelay};
pub use drive::{Drive, Driven, Duty, Undriven};
pub use exempt::{FindExempt, Nobody};
pub use future::ResponseFuture;
pub use handle::Handle;
pub use layer::{Builder, LoadShedLayer, Mode, QueueOf};
pub use queued::QueuedFuture;
pub use service::{LoadShed, Queue, Refuse};
pub use signal::{Gauge, Signal};
