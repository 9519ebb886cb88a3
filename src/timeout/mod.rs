//! Timeout and deadline: no call is waited for longer than its answer is of use.
//!
//! # What it does
//!
//! Bounds the response future. When the time is over the inner future is dropped, and the error
//! is [`Reason::TimedOut`](crate::Reason::TimedOut) with
//! [`was_dispatched`](crate::Rejected::was_dispatched) `== true`: the service may have acted. A
//! result that is ready in the same poll as the timer wins.
//!
//! A [`Deadline`] is an absolute instant that a whole chain of calls shares. With
//! [`Builder::deadline`] a call ends at its request's deadline where that comes first, with
//! [`Reason::DeadlineExceeded`](crate::Reason::DeadlineExceeded); a request whose deadline has
//! passed is refused without being dispatched.
//!
//! # When to use it
//!
//! Around every call over a network, below the circuit breaker (so that it sees the timeouts) and
//! inside a retry (so that it bounds one attempt). Set it to what a healthy call takes at its
//! worst, its 99.9th percentile for one, and not to what a caller would bear.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use buttress::{BoxError, Reason, Rejected, timeout::TimeoutLayer};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! let service = ServiceBuilder::new()
//!     .layer(TimeoutLayer::new(Duration::from_millis(100)))
//!     .service_fn(async |pause: Duration| {
//!         tokio::time::sleep(pause).await;
//!         Ok::<_, BoxError>("done")
//!     });
//!
//! let error = service.oneshot(Duration::from_secs(60)).await.unwrap_err();
//! let refusal = Rejected::find(&*error).unwrap();
//! assert_eq!(refusal.reason(), Reason::TimedOut);
//! assert!(refusal.was_dispatched());
//! # }
//! ```
//!
//! # What it counts
//!
//! The time from the first poll of the response future that finds the inner one pending: an inner
//! future that is ready at once costs no clock and no timer. Timers are tokio's, accurate to 1 ms,
//! and never early. With [`Builder::also_readiness`] the wait for the inner service's readiness
//! counts too.
//!
//! # Readiness
//!
//! The inner service's. With [`Builder::also_readiness`], a readiness that takes longer than the
//! limit is answered by `call`, with `was_dispatched() == false`, and not by an error of
//! `poll_ready`, which tower takes for the death of the service.
//!
//! # Cancellation
//!
//! Dropping the response future drops the inner one. With [`Builder::detach`] neither a timeout
//! nor a drop cuts the inner future: a bounded number of them is driven to the end in tasks.
//!
//! # Sharing
//!
//! The name, the observers and the detached calls belong to the layer value. Nothing else is
//! shared.
//!
//! # Events
//!
//! `Admitted` · `Settled` · `Abandoned` · `Rejected` with `TimedOut` or `DeadlineExceeded` ·
//! `WouldReject` in shadow mode.

mod config;
mod deadline;
mod detach;
mod future;
mod grammar;
mod layer;
mod limit;
mod propagate;
mod readiness;
mod service;
pub(crate) mod state;
mod wire;

pub use crate::deadline::{Carrier, Deadline, Extended, FindDeadline, FromRequest, NoDeadline};
pub use config::Config;
pub use deadline::{DeadlineBuilder, DeadlineConfig, DeadlineLayer, Deadlined};
pub use detach::{Detach, Drained, Handle, Tracked};
pub use future::ResponseFuture;
pub use grammar::HeaderFormat;
pub use layer::{Builder, TimeoutLayer};
pub use limit::{FindLimit, Fixed, LastUnbounded};
pub use propagate::{
    PropagateDeadline, PropagateDeadlineBuilder, PropagateDeadlineConfig, PropagateDeadlineFuture,
    PropagateDeadlineLayer,
};
pub use service::{Cancel, Timeout};
pub use wire::DeadlineHandle;
