//! Adaptive concurrency limit: as many calls in flight as the service behind can carry, found from
//! how the calls go, with no number to configure.
//!
//! # What it does
//!
//! Admits calls up to a limit that an [`Algorithm`] moves: it grows while calls are refused and
//! answers come as fast as without load, and shrinks as answers slow down, time out, or ask for
//! less. A call beyond the limit is refused at once with
//! [`Reason::LimitReached`](crate::Reason::LimitReached), or, with [`Builder::queue`], waits in a
//! bounded line, as it would in a [bulkhead](crate::bulkhead): a full line refuses at once; a wait
//! that ends without a slot is [`Reason::QueueTimedOut`](crate::Reason::QueueTimedOut), or
//! [`Reason::DeadlineExceeded`](crate::Reason::DeadlineExceeded) where the caller's own deadline
//! came first.
//!
//! The limit stays from 1 to 10,000, unless [`Builder::min`] and [`Builder::max`] say otherwise. A
//! limit that shrinks below the calls in flight ends none of them, and admits none until enough
//! have ended.
//!
//! It recovers alone: since at least one call is always admitted, a service that is well again
//! shows it, and nobody has to reset anything.
//!
//! With [`Builder::priority`] a class of requests may use only its share of the limit, and the
//! critical class all of it.
//!
//! # When to use it
//!
//! Where the capacity of a service is not known, or changes: with its neighbours, its cache, its
//! next release. In front of your own handlers it sheds what they could not do in time anyway; in
//! front of a dependency it stops you from being what holds it down. Where the capacity is known
//! and stands, such as that of a connection pool, use a [bulkhead](crate::bulkhead): it has nothing
//! to find out, and is never wrong.
//!
//! Put it *outside* of a timeout layer, so that it sees the timeouts: a call that was cut off by a
//! timeout further out looks like one whose caller went away, and says nothing. On a server nothing
//! may queue between it and the work, or its latencies are those of that queue.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use buttress::{BoxError, adaptive_limit::AdaptiveLimitLayer, timeout::TimeoutLayer};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let limit = AdaptiveLimitLayer::builder().name("search").max(500).build();
//! let handle = limit.handle();
//!
//! let service = ServiceBuilder::new()
//!     .layer(limit)
//!     .layer(TimeoutLayer::new(Duration::from_secs(1)))
//!     .service_fn(async |words: &str| Ok::<_, BoxError>(words.len()));
//!
//! assert_eq!(service.oneshot("tower").await.unwrap(), 5);
//! assert_eq!(handle.in_flight(), 0);
//! assert!((1..=500).contains(&handle.limit()));
//! # }
//! ```
//!
//! # What it counts
//!
//! What a call says to the algorithm follows from its [`Class`](crate::Class):
//!
//! | class | what it says |
//! | --- | --- |
//! | `Success`, `Permanent` | its latency is a sample |
//! | `Transient`, where the error is a [`Reason::TimedOut`](crate::Reason::TimedOut) | its latency is a sample, and it is a timeout |
//! | `Overload` | the service asked for less |
//! | `Transient` otherwise, `Ignore` | it has ended, and says no more |
//!
//! So does a call that is cancelled or panics: it has ended. A refused call is no sample of
//! anything, but that somebody was refused tells the algorithm that the limit is in use.
//!
//! The latency is that of the inner future, from admission, after any wait in the queue. With
//! `http::HoldBody` (feature `http`) a streaming answer keeps its slot until the body has ended:
//! its latency is that to its head, and its class the one at the end.
//!
//! Calls that the algorithm has no use for are not timed: see [`Algorithm::skip`].
//!
//! # Readiness
//!
//! Ready when the inner service is. Nothing is reserved by `poll_ready`, so an idle clone strands
//! no slot. A call that must wait holds none of the inner service's readiness: it gives back the
//! grant of the instance it came through, and readies a clone of its own when its turn comes. That
//! is why a queue asks for `S: Clone`, and a limit without a queue does not.
//!
//! Priorities do not order the line. A free slot goes to the first in line whose class may have
//! one, so a call beyond its share waits like everybody, and is passed by those who are not.
//!
//! # Cancellation
//!
//! Dropping the response future frees the slot, or leaves the line; a slot that had just been
//! granted goes to the next in line. The algorithm hears that the call has ended.
//!
//! # Sharing
//!
//! All services made by one layer value, and all their clones, share one limit; a clone of the
//! layer value does too. Services behind which there are different servers want a layer each.
//!
//! # Events
//!
//! `Queued` · `Admitted { waited }` · `Settled` · `Abandoned` · `Rejected` with `LimitReached`,
//! `QueueTimedOut` or `DeadlineExceeded` · `WouldReject` in shadow mode · `LimitChanged`, each from
//! where the one before went to; changes that come faster than they are told are told as one.

mod aimd;
mod algorithm;
mod bounds;
mod classes;
mod cohort;
mod config;
mod future;
mod gradient;
mod handle;
mod held;
mod layer;
mod limit;
#[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
mod loom_tests;
#[cfg(test)]
mod published_tests;
mod queued;
#[cfg(test)]
mod range_tests;
mod service;
pub(crate) mod state;
mod vegas;

pub use aimd::Aimd;
pub use algorithm::{Admitted, Algorithm, Ended, Outcome, Range};
pub use cohort::Cohort;
pub use config::Config;
pub use future::ResponseFuture;
pub use gradient::Gradient;
pub use handle::{Handle, Snapshot};
pub use held::HeldCall;
pub use layer::{AdaptiveLimitLayer, Builder};
pub use queued::QueuedFuture;
pub use service::AdaptiveLimit;
pub use vegas::Vegas;
