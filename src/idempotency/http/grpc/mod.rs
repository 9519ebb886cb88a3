//! Unary gRPC calls: over HTTP as any other request, but for where the verdict is, and how a refusal
//! is said.

mod message;
mod problem;
mod status;

pub(super) use message::{fingerprint, is_one_message};
pub(super) use problem::refusal;
pub(super) use status::{is_final, joined, status};
