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

#![cfg_attr(docsrs, feature(doc_cfg))]

mod backoff;
mod rng;
mod sync;
mod time;
mod window;

pub mod admission;
pub mod classify;
mod config;
mod deadline;
mod error;
pub mod observe;
mod rejected;

pub mod bulkhead;
pub mod circuit_breaker;
#[cfg(feature = "grpc")]
pub mod grpc;
pub mod timeout;

pub mod guide;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "serde")]
mod serde;

pub use classify::{Class, Classify};
pub use config::ConfigError;
pub use error::{BoxError, Error, IntoRejected, Lift, LiftFuture, LiftLayer, Rejectable};
pub use rejected::{Reason, Rejected};
