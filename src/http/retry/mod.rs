//! Which HTTP requests may be sent again: [`RetryPolicy`] and what it asks of errors.

mod key;
mod policy;
mod unsent;

#[cfg(feature = "grpc")]
pub(crate) use key::is_keyed;
pub(crate) use key::{IDEMPOTENCY_KEY, fresh, fresh_bare, is_in_progress, is_keyed_by};
#[cfg(feature = "grpc")]
pub(crate) use policy::{copy, mark};
#[cfg(feature = "grpc")]
pub(crate) use unsent::never_sent;

pub use policy::RetryPolicy;
pub use unsent::{AsError, BySource, Unsent};
