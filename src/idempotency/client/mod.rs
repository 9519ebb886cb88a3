//! The caller's side: one key for all attempts of a request, and which answers another attempt may
//! better.

mod advice;
mod key;
mod layer;
mod policy;
mod service;
mod stamp;

pub use advice::{RetryAdvice, classify};
pub use key::IdempotencyKey;
pub use layer::KeyLayer;
pub use policy::RetryPolicy;
pub use service::Key;
