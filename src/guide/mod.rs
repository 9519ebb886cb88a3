//! The manual: what the pages of the layers leave open, since it is about several of them.
//!
//! | page | answers |
//! | --- | --- |
//! | [`order`] | which layer goes outside of which, and why |
//! | [`tuning`] | how to choose the numbers, and how to keep them in a file |
//! | [`errors`] | where refusals travel, and what to do about "the compiler says" |
//! | [`testing`] | how to test a stack without waiting, and how to simulate a system around it |
//! | `idempotency` (features `http` and `postgres`) | both halves of a request that takes effect once |
//! | [`operations`] | what to watch, what to alert on, and how to steer |
//! | `axum` (feature `http`) | routes, streaming responses, clients |
//! | `tonic` (feature `grpc`) | servers, channels, statuses that come in trailers |
//! | [`writing_a_layer`] | how a layer of your own takes part |

#[cfg(feature = "http")]
#[doc = include_str!("axum.md")]
pub mod axum {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[cfg(all(feature = "http", feature = "postgres"))]
#[doc = include_str!("idempotency.md")]
pub mod idempotency {}

#[doc = include_str!("operations.md")]
pub mod operations {}

#[doc = include_str!("order.md")]
pub mod order {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[cfg(feature = "grpc")]
#[doc = include_str!("tonic.md")]
pub mod tonic {}

#[doc = include_str!("tuning.md")]
pub mod tuning {}

#[doc = include_str!("writing_a_layer.md")]
pub mod writing_a_layer {}

/// The code in the readme is compiled like the code of the manual.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../../README.md")]
pub mod readme {}
