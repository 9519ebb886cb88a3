//! A permit that lasts as long as the response body: [`HoldBody`] and what it makes.

mod body;
mod future;
mod held;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub(super) use future::has_no_body;
pub(super) use held::Held;

pub use body::HeldBody;
pub use future::HoldFuture;
pub use layer::HoldBody;
pub use service::Holding;
