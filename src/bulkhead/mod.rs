//! Bulkhead: at most so many calls in flight, so that one slow dependency cannot take everything.
//!
//! # What it does
//!
//! Admits `max_concurrent` calls at a time. A call beyond that is refused at once with
//! [`Reason::BulkheadFull`](crate::Reason::BulkheadFull), or, with [`Builder::queue`], waits in a
//! bounded line. A full line refuses at once; a wait that ends without a slot is
//! [`Reason::QueueTimedOut`](crate::Reason::QueueTimedOut), or
//! [`Reason::DeadlineExceeded`](crate::Reason::DeadlineExceeded) where the caller's own deadline
//! came first. There is no unbounded line.
//!
//! A limit of `0` is legal and refuses everything.
//!
//! # When to use it
//!
//! In front of anything whose capacity you know: a connection pool, a licence, a memory-hungry
//! handler; and in front of each dependency that must not use up what the others need. Where the
//! capacity is not known, use the adaptive limit instead. By Little's law a limit of
//! `rate * latency` in flight carries that rate: 200 calls a second of 50 ms each are 10 in flight.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use buttress::{BoxError, bulkhead::{BulkheadLayer, QueueOrder}};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let bulkhead = BulkheadLayer::builder(10)
//!     .name("reports")
//!     .queue(50)
//!     .max_wait(Duration::from_millis(200))
//!     .order(QueueOrder::Adaptive)
//!     .build();
//! let handle = bulkhead.handle();
//!
//! let service = ServiceBuilder::new()
//!     .layer(bulkhead)
//!     .service_fn(async |page: u32| Ok::<_, BoxError>(format!("page {page}")));
//!
//! assert_eq!(service.oneshot(7).await.unwrap(), "page 7");
//! assert_eq!((handle.in_flight(), handle.queued(), handle.limit()), (0, 0, 10));
//! # }
//! ```
//!
//! # What it counts
//!
//! Calls from admission until the response future is ready, is dropped, or panics. A streaming
//! answer is still being produced by then: `http::HoldBody` (feature `http`) keeps the slot until
//! the response body has ended or is dropped.
//!
//! [`Builder::partition`] promises each kind of call `max(1, ceil(limit * share))` slots. The
//! promise matters only when all slots are taken: until then anybody may use any slot, and then a
//! partition below its promise is still let in. The calls in flight can so exceed the limit, by at
//! most the sum of the promises of those who came late. For hard isolation use one bulkhead for
//! each kind.
//!
//! # Readiness
//!
//! Ready when the inner service is. Nothing is reserved by `poll_ready`, so an idle clone strands
//! no slot. A call that must wait holds none of the inner service's readiness: it gives back the
//! grant of the instance it came through, and readies a clone of its own when its turn comes. That
//! is why a queue asks for `S: Clone`, and a bulkhead without a queue does not.
//!
//! # Cancellation
//!
//! Dropping the response future frees the slot, or leaves the line; a slot that had just been
//! granted goes to the next in line.
//!
//! # Sharing
//!
//! All services made by one layer value, and all their clones, share one limit; a clone of the
//! layer value does too. For a limit of its own, build a second layer.
//!
//! # Events
//!
//! `Queued` · `Admitted { waited }` · `Settled` · `Abandoned` · `Rejected` with `BulkheadFull`,
//! `QueueTimedOut` or `DeadlineExceeded` · `WouldReject` in shadow mode · `LimitChanged` by
//! [`Handle::resize`].

mod config;
mod future;
mod handle;
mod layer;

mod partition;
mod queued;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use crate::admission::modes::{Queue, Refuse};
pub use crate::admission::slots::QueueOrder;
pub use config::Config;
pub use future::ResponseFuture;
pub use handle::Handle;
pub use layer::{Builder, BulkheadLayer};
pub use partition::{FindPartition, Partitions, Whole};
pub use queued::QueuedFuture;
pub use service::Bulkhead;
pub use state::HeldSlot;
