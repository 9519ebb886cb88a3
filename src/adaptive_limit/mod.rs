//! Adaptive concurrency limit.

mod aimd;
mod algorithm;
mod bounds;
mod gradient;
mod vegas;

#[cfg(test)]
mod published_tests;

pub use aimd::Aimd;
pub use algorithm::{Admitted, Algorithm, Ended, Outcome, Range};
pub use gradient::Gradient;
pub use vegas::Vegas;
