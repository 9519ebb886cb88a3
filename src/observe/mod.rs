//! What the layers tell: one event for everything that happens to a call.
//!
//! # What it does
//!
//! Every layer reports to the observers that its builder was given with `.observe(..)`. An
//! observer is a closure, a type that implements [`Observe`], or one of the two that come with
//! the crate: `MetricsObserver` (feature `metrics`) and `TracingObserver` (feature `tracing`).
//! [`ObserveLayer`] reports calls to a service that has no other layer of this crate.
//!
//! # When to use it
//!
//! Always, in production: a layer that refuses silently looks like an outage of the service
//! behind it. Without an observer an event costs one branch.
//!
//! # Example
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicUsize, Ordering}};
//! use buttress::bulkhead::BulkheadLayer;
//! use buttress::observe::{Event, EventKind};
//!
//! let refused = Arc::new(AtomicUsize::new(0));
//! let count = refused.clone();
//! let layer = BulkheadLayer::builder(10)
//!     .name("payments")
//!     .observe(move |event: &Event<'_>| {
//!         if let EventKind::Rejected(_) = event.kind {
//!             count.fetch_add(1, Ordering::Relaxed);
//!         }
//!     })
//!     .build();
//! # let _ = layer;
//! ```
//!
//! # What it counts
//!
//! A call that enters a layer ends there in exactly one of [`EventKind::Settled`],
//! [`EventKind::LateResult`], [`EventKind::Abandoned`] and [`EventKind::Rejected`]. Whatever was
//! [`EventKind::Admitted`] ends in one of the first three, or in a `Rejected` whose
//! [`Event::stage`] is [`Stage::InFlight`]. [`Event::stage`] says where the call stood, so that
//! in-flight and queue gauges add up exactly even when events of two threads cross.
//!
//! # Readiness
//!
//! [`Observed`] is ready when the inner service is.
//!
//! # Cancellation
//!
//! Dropping a response future is reported as [`EventKind::Abandoned`], and so is a panic in it.
//!
//! # Sharing
//!
//! An observer is called from every thread that drives a call, after all locks are released. It
//! must be quick, and it must not panic: a panic in it unwinds into the call that it observed.
//!
//! # Events
//!
//! [`ObserveLayer`] emits `Admitted`, then `Settled` or `Abandoned`.

mod emit;
pub(crate) mod event;
#[cfg(feature = "metrics")]
mod family;
mod future;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod service;
#[cfg(not(feature = "tracing"))]
mod span;
#[cfg(feature = "tracing")]
mod tracing;

pub(crate) use emit::{Emitter, Identity, identity_setters};
#[cfg(not(feature = "tracing"))]
pub(crate) use span::{in_current_span, in_span_of_claim};
#[cfg(feature = "tracing")]
pub(crate) use tracing::{in_current_span, in_span_of_claim};

pub use event::{Event, EventKind, IdempotencyResult, Observe, Stage, StoreCall, Withheld};
pub use future::ResponseFuture;
pub use layer::{Builder, ObserveLayer};
#[cfg(feature = "metrics")]
pub use metrics::MetricsObserver;
pub use service::Observed;
#[cfg(feature = "tracing")]
pub use tracing::TracingObserver;
