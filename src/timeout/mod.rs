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
//! Two layers take it over the wire, from process to process, for requests that are a [`Carrier`]:
//!
//! - [`DeadlineLayer`], on a server, reads how much time the caller has left from `grpc-timeout`
//!   or another header, puts the deadline into the request's extensions, and holds the call to it.
//! - [`PropagateDeadlineLayer`], on a client, writes the time left into the header, in each
//!   attempt anew.
//!
//! What is sent is the time left and not an instant, since the clocks of two machines differ. It
//! is rounded down, so that no hop adds to it.
//!
//! # When to use it
//!
//! Around every call over a network, below the circuit breaker (so that it sees the timeouts) and
//! inside a retry (so that it bounds one attempt). Set it to what a healthy call takes at its
//! worst, its 99.9th percentile for one, and not to what a caller would bear.
//!
//! Deadlines in every chain of more than one service: without them the services at the far end
//! work on for callers who have given up. `DeadlineLayer` stands outermost on the server, right
//! inside of what observes, so that the wait in a queue counts; `PropagateDeadlineLayer` innermost
//! on the client, inside of a retry.
//!
//! Under a retry, [`Builder::last_attempt_unbounded`] leaves the last attempt to the deadline: to
//! cut it would gain no further one.
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
//! A service in the middle of a chain. What is left of its caller's time is what the next one gets:
//!
//! ```
//! use std::time::Duration;
//! use buttress::{BoxError, timeout::{Deadline, DeadlineLayer, PropagateDeadlineLayer}};
//! use http::Request;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! let next = ServiceBuilder::new()
//!     .layer(PropagateDeadlineLayer::new())
//!     .service_fn(async |request: Request<()>| {
//!         Ok::<_, BoxError>(request.headers()["grpc-timeout"].to_str()?.to_owned())
//!     });
//! let service = ServiceBuilder::new()
//!     .layer(DeadlineLayer::builder().at_most(Duration::from_secs(30)).build())
//!     .service_fn(move |request: Request<()>| {
//!         let next = next.clone();
//!         async move {
//!             tokio::time::sleep(Duration::from_millis(50)).await;
//!             let mut onward = Request::new(());
//!             let deadline = *request.extensions().get::<Deadline>().unwrap();
//!             onward.extensions_mut().insert(deadline);
//!             next.oneshot(onward).await
//!         }
//!     });
//!
//! let request = Request::builder().header("grpc-timeout", "250m").body(()).unwrap();
//! assert_eq!(service.oneshot(request).await.unwrap(), "200000u");
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
//! A deadline counts from the arrival of the request, in `call`. [`DeadlineLayer::handle`] and
//! [`PropagateDeadlineLayer::handle`] count the headers that made no sense and were ignored.
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
//! The name, the observers, the detached calls and the counts of malformed headers belong to the
//! layer value. Nothing else is shared.
//!
//! # Events
//!
//! `Admitted` · `Settled` · `Abandoned` · `Rejected` with `TimedOut` or `DeadlineExceeded` ·
//! `WouldReject` in shadow mode.
//!
//! The layers of the wire tell the same under the names `deadline` and `propagate_deadline`, with
//! `Malformed` for each header that made no sense. Only a `DeadlineLayer` ends calls in flight.

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
