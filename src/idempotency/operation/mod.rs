//! The layer for any `Service<Req>`: messages of a queue, calls of a library, requests that are no
//! HTTP.
//!
//! ```text
//! identify.rs  what a request is to the layer
//! codec.rs     what its outcome is to the store
//! service.rs   decides by the identity: pass, refuse, or protect
//! run.rs       the task: claim, handler, record
//! ```

mod codec;
mod error;
mod future;
mod idempotent;
mod identify;
mod layer;
mod run;
mod service;

pub use codec::OutcomeCodec;
pub use error::OperationError;
pub use future::OperationFuture;
pub use idempotent::Idempotent;
pub use identify::{OpIdentity, Operation};
pub use layer::{OperationBuilder, OperationLayer};
pub use service::Operations;
