//! Idempotency keys over HTTP.

mod fingerprint;
mod headers;
mod payload;
mod policy;
mod problem;

pub use fingerprint::Fingerprinter;
pub use headers::HeaderFilter;
pub use policy::OutcomePolicy;
pub use problem::Problem;
