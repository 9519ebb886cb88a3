//! The tests that see the crate as its users do.

mod adapters;
mod circuit_breaker;
mod observe;
