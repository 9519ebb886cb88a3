//! Idempotency keys over HTTP.

mod fingerprint;
mod grpc;
mod headers;
mod payload;
mod policy;
mod problem;

#[cfg(any(test, fuzzing, buttress_fuzz))]
pub(crate) use payload::model as stored_record;

pub use fingerprint::Fingerprinter;
pub use headers::HeaderFilter;
pub use policy::OutcomePolicy;
pub use problem::Problem;

#[cfg(test)]
fn hex(fingerprint: crate::idempotency::Fingerprint) -> String {
    fingerprint.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
