//! Composable [Tower](https://docs.rs/tower) layers that keep a service standing when what it
//! depends on slows down, fails, or comes back.
//!
//! ```
//! use std::time::Duration;
//! use buttress::{LiftLayer, Rejectable};
//! use buttress::{bulkhead::BulkheadLayer, circuit_breaker::CircuitBreakerLayer, timeout::TimeoutLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let mut payments = ServiceBuilder::new()
//!     .layer(CircuitBreakerLayer::builder().name("payments").failure_rate(0.5).build())
//!     .layer(BulkheadLayer::new(64))
//!     .layer(TimeoutLayer::new(Duration::from_millis(800)))
//!     .layer(LiftLayer)
//!     .service_fn(async |amount: u32| if amount > 0 { Ok("paid") } else { Err("nothing to pay") });
//!
//! match payments.ready().await.unwrap().call(42).await {
//!     Ok(receipt) => assert_eq!(receipt, "paid"),
//!     Err(error) => match error.rejected() {
//!         Some(refusal) => println!("not sent: {refusal}; again in {:?}", refusal.retry_after()),
//!         None => println!("payments failed: {error}"),
//!     },
//! }
//! # }
//! ```
//!
//! # The order of layers
//!
//! Outside in. Every order compiles, and [`guide::order`] says why this one:
//!
//! - Server: observe → deadline → load shed → rate limit (by tenant) → idempotency → adaptive limit
//!   or bulkhead → timeout → handler; limits and timeouts in `http::respond` or `grpc::respond`.
//! - Client: observe → total timeout → retry or hedge → circuit breaker ([`keyed`] by host) →
//!   adaptive limit or bulkhead → throttle → attempt timeout → transport.
//!
//! # What all layers have in common
//!
//! - The error type stays the service's own. A refusal is a [`Rejected`] in it: see [`Rejectable`],
//!   and [`LiftLayer`] for the error of somebody else.
//! - State belongs to the layer value. Whatever it wraps, and every clone, shares it; `handle()`
//!   reads and steers it.
//! - A refusal is no failure of the service: no breaker opens for a full bulkhead below it.
//! - Dropping a response future, or a panic in it, gives back what the call held.
//! - Time is tokio's, so a paused runtime drives every layer: see [`guide::testing`].
//! - Events go to the observers of the builder's `.observe(..)`: see [`observe`].
//!
//! # Features
//!
//! None is on by default. Each brings a dependency and the types that need it, and changes nothing.
//!
//! | feature | adds |
//! | --- | --- |
//! | `http` | `http`: classify statuses, answer refusals, count streaming bodies, retry requests; `idempotency` over HTTP |
//! | `grpc` | `grpc`: the same for tonic; includes `http` |
//! | `axum` | `idempotency::Context` as an extractor; includes `http` |
//! | `redis`, `postgres` | `idempotency::RedisStore`, `idempotency::PostgresStore` |
//! | `metrics` | `observe::MetricsObserver` |
//! | `tracing` | `observe::TracingObserver` |
//! | `rate-limit` | `rate_limit`, by the `governor` crate |
//! | `serde` | each layer's `Config` from a file |
//! | `sim` | `sim`: a simulator for stacks; for tests, so `full` does not have it |
//! | `full` | all the others |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod backoff;
mod codel;
mod rng;
mod sync;
mod time;
mod window;

pub mod admission;
mod budget;
pub mod classify;
mod config;
mod deadline;
mod error;
pub mod observe;
mod pinned;
mod policy;
mod priority;
mod rejected;

pub mod adaptive_limit;
pub mod bulkhead;
pub mod circuit_breaker;
#[cfg(feature = "grpc")]
pub mod grpc;
pub mod hedge;
pub mod idempotency;
pub mod keyed;
pub mod load_shed;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
pub mod retry;
pub mod timeout;

pub mod guide;
#[cfg(feature = "http")]
pub mod http;
#[doc(hidden)]
#[cfg(any(test, fuzzing, buttress_fuzz))]
pub mod models;
#[cfg(feature = "serde")]
mod serde;
#[cfg(feature = "sim")]
pub mod sim;

pub use classify::{Class, Classify, classify_fn};
pub use config::ConfigError;
pub use error::{BoxError, Error, IntoRejected, Lift, LiftFuture, LiftLayer, Rejectable};
pub use rejected::{Reason, Rejected};
