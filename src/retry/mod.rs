//! Retry with backoff, jitter and a budget.

pub use crate::policy::{Attempt, Hint, Idempotent, Policy};
