//! The tests that see the crate as its users do.

// A subtraction that underflows fails the test that made it.
#![allow(clippy::unchecked_time_subtraction)]

mod adapters;
mod adaptive_limit;
#[cfg(feature = "http")]
mod body_timeout;
mod bulkhead;
mod cancellation;
mod circuit_breaker;
#[cfg(all(feature = "full", feature = "sim"))]
mod compile_errors;
mod contract;
mod cost;
mod hedge;
mod keyed;
mod load_shed;
#[cfg(all(feature = "metrics", feature = "tracing"))]
mod observability;
#[cfg(all(feature = "metrics", feature = "tracing"))]
mod observe;
mod policies;
#[cfg(feature = "rate-limit")]
mod rate_limit;
#[cfg(feature = "http")]
mod replay;
mod retry;
#[cfg(feature = "serde")]
mod serde;
#[cfg(feature = "sim")]
mod sim_report;
mod spec;
mod support;
mod throttle;
mod timeout;
#[cfg(all(feature = "http", feature = "sim"))]
mod wire;
