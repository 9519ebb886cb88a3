//! Everything from outside, through the public API.

mod circuit_breaker;
