//! Adaptive concurrency limit.

mod algorithm;

pub use algorithm::{Admitted, Algorithm, Ended, Outcome, Range};
