//! The throttle of a client: [`ThrottleLayer`] and what it makes.

mod config;
mod floor;
mod future;
mod handle;
mod layer;
#[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
mod loom_tests;
#[cfg(test)]
mod model_tests;
mod service;
mod shared;
mod state;
mod tally;

pub use config::ThrottleConfig;
pub use future::ThrottleFuture;
pub use handle::ThrottleHandle;
pub use layer::{ThrottleBuilder, ThrottleLayer};
pub use service::Throttle;
pub use shared::ThrottledCall;
