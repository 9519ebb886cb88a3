//! The deadline of a request that goes out: [`PropagateDeadlineLayer`] and what it makes.

mod config;
mod future;
mod layer;
mod service;

pub use config::PropagateDeadlineConfig;
pub use future::PropagateDeadlineFuture;
pub use layer::{PropagateDeadlineBuilder, PropagateDeadlineLayer};
pub use service::PropagateDeadline;
