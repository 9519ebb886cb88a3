//! Retry with backoff, jitter and a budget.

pub use crate::backoff::{Backoff, Delays, Jitter};
pub use crate::policy::{Attempt, Classified, Hint, Idempotent, Policy};
