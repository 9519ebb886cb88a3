//! The tests that see the crate as its users do.

mod adapters;
mod circuit_breaker;
#[cfg(all(feature = "metrics", feature = "tracing"))]
mod observe;
#[cfg(feature = "serde")]
mod serde;
