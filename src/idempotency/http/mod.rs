//! The layer for HTTP and gRPC.
//!
//! ```text
//! service.rs   decides by the head: pass, refuse, or protect
//! future.rs    collects the request body, starts the task and waits for it
//! run.rs       the task: claim, handler, record
//! ```

#[cfg(feature = "axum")]
mod axum;
mod body;
mod builder;
mod fingerprint;
mod future;
mod gather;
mod grpc;
mod headers;
mod hold;
mod key_rules;
mod layer;
#[cfg(not(feature = "axum"))]
mod path;
mod payload;
mod policy;
mod problem;
#[cfg(feature = "postgres")]
mod recorded;
mod run;
mod service;
mod settings;

#[cfg(feature = "axum")]
use axum as path;

#[cfg(any(test, fuzzing, buttress_fuzz))]
pub(crate) use payload::model as stored_record;

#[cfg(feature = "axum")]
pub use axum::ContextMissing;
pub use body::Body;
pub use builder::{Builder, NoScope, Scoped};
pub use fingerprint::Fingerprinter;
pub use future::ResponseFuture;
pub use headers::HeaderFilter;
pub use layer::IdempotencyLayer;
pub use policy::OutcomePolicy;
pub use problem::Problem;
pub use service::Idempotency;
pub use settings::{AlreadyRecorded, KeyScope, OnUnstorable};
