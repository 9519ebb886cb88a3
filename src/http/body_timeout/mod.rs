//! A limit on how long a body may take: [`BodyTimeoutLayer`] and what it makes.

mod body;
mod clock;
mod config;
mod future;
mod layer;
mod permit;
mod service;

pub use body::TimeoutBody;
pub use config::BodyTimeoutConfig;
pub use future::BodyTimeoutFuture;
pub use layer::{BodyTimeoutBuilder, BodyTimeoutLayer};
pub use service::BodyTimeout;
