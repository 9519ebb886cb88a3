//! The deadline of a request that comes in: [`DeadlineLayer`] and what it makes.

mod config;
mod layer;
mod service;

pub use config::DeadlineConfig;
pub use layer::{DeadlineBuilder, DeadlineLayer};
pub use service::Deadlined;
