//! Which gRPC calls may be sent again: [`RetryPolicy`] and how calls are declared idempotent.

mod idempotent;
mod messages;
mod policy;
mod requests;

pub use idempotent::{Always, IsIdempotent, Paths, Undeclared};
pub use policy::RetryPolicy;
