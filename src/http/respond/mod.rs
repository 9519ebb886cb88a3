//! Refusals become responses: [`respond`] and what it makes.

mod body;
mod future;
mod layer;
mod problem;
mod render;
mod service;
#[cfg(test)]
mod tests;

#[cfg(feature = "grpc")]
pub(crate) use render::Render;
#[cfg(test)]
pub(crate) use render::every_reason;

pub(crate) use problem::{comes_back, document};

pub use body::ResponseBody;
pub use future::RespondFuture;
pub use layer::{RespondLayer, respond};
pub use problem::Problem;
pub use render::REFUSAL;
pub use service::Respond;
