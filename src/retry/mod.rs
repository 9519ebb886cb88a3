//! Retry: a request is sent again when the first attempt failed in a way that may pass.
//!
//! # What it does
//!
//! [`RetryLayer`] makes up to [`max_attempts`](Builder::max_attempts) attempts, **the first call
//! included**. After an outcome that the [`Policy`] classifies as `Transient` or `Overload` it
//! asks, in this order:
//!
//! 1. Are there attempts left?
//! 2. May the request be sent again? ([`Policy::clone_request`], [`Policy::may_resend`])
//! 3. Did the server say not to? ([`Policy::hint`])
//! 4. Does the attempt start, and have [`min_attempt`](Builder::min_attempt) left, before the
//!    request's deadline? The delay is known by now, so a call that cannot make it returns at once
//!    instead of after a wait.
//! 5. Does the [`Budget`] pay for it?
//!
//! If any of them says no, the caller gets the last outcome untouched, and an event tells why. Only
//! a refusal of a further attempt says `was_dispatched`, if the service may have seen an earlier
//! one. If all say yes, the discarded response is dropped, so that its connection is free during the
//! wait; then come the wait, the readiness of the inner service, and the call. The last attempt does
//! not clone the request.
//!
//! The delay is the [`Backoff`]'s, with full jitter unless told otherwise. After `Overload` it
//! starts at 1 s ([`overload_base`](Builder::overload_base)). A server's hint ([`Hint::AtLeast`],
//! HTTP's `Retry-After`) takes its place unless the backoff could draw nothing as short: the attempt
//! is held back for the hint plus up to a tenth of it, so that clients with the same hint do not
//! return together. A hint of 0 changes nothing. [`Hint::Exactly`] (gRPC's pushback) is exact, and
//! the backoff starts over.
//!
//! Refusals of layers further in are not tried again, save timeouts: a breaker that is open, or a
//! bulkhead that is full, has said what it had to say. A policy or a
//! [classifier](Builder::classify) that calls them `Transient` changes that.
//!
//! # When to use it
//!
//! On the client side of a network, for failures that a second attempt has a fair chance to get
//! past: a connection that was reset, one bad instance among several. Where the failure is
//! overload, retries are what keeps a service down; that is what the budget is for. Retry at one
//! level of a call chain: attempts multiply, and three attempts on each of four levels are 81.
//!
//! Only requests that may take effect twice may be sent twice: idempotent ones, or those with an
//! idempotency key. `http::RetryPolicy` and `grpc::RetryPolicy` know which, and
//! `http::ReplayBody` keeps a body for the second attempt while the first one streams it.
//!
//! Attempts are bounded by a [`TimeoutLayer`](crate::timeout::TimeoutLayer) inside, the whole by a
//! deadline or one more timeout outside.
//!
//! # Example
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::time::Duration;
//! use buttress::LiftLayer;
//! use buttress::retry::{Backoff, Budget, Idempotent, RetryLayer};
//! use buttress::timeout::TimeoutLayer;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! let calls = AtomicU32::new(0);
//! let service = ServiceBuilder::new()
//!     .layer(
//!         RetryLayer::builder(Idempotent)
//!             .name("prices")
//!             .max_attempts(3)
//!             .backoff(Backoff::exponential(Duration::from_millis(20), Duration::from_secs(2)))
//!             .budget(Budget::ratio(0.1))
//!             .build(),
//!     )
//!     .layer(TimeoutLayer::new(Duration::from_millis(200)))
//!     .layer(LiftLayer)
//!     .service_fn(async |item: &'static str| match calls.fetch_add(1, Ordering::Relaxed) {
//!         0 => Err("connection reset"),
//!         _ => Ok(format!("the price of {item}")),
//!     });
//!
//! assert_eq!(service.oneshot("tea").await.unwrap(), "the price of tea");
//! assert_eq!(calls.into_inner(), 2);
//! # }
//! ```
//!
//! # What it counts
//!
//! The [`Budget`]: how much of the load on a service may be retries. By default each call deposits
//! a fifth of a retry and each retry withdraws one, over the last 10 s, and 10 retries a second
//! are there in any case. So a service that fails altogether gets 1.2 times its load and not 3
//! times. One budget belongs to one service behind: give a clone of it to every layer that calls
//! that service, this one and [`hedge`](crate::hedge) alike. But let each call deposit in it once:
//! where one of the two stands inside the other, each needs a budget of its own.
//!
//! # Readiness
//!
//! The inner service's. The instance that was made ready serves the first attempt. Each further one
//! readies a clone of its own, which is why the inner service has to be `Clone`, and does not wait
//! for it past the request's deadline: then the answer is
//! [`DeadlineExceeded`](crate::Reason::DeadlineExceeded).
//!
//! # Cancellation
//!
//! Dropping the response future drops the attempt that runs, or the wait. A retry that was paid for
//! and not yet sent goes back into the budget.
//!
//! # Sharing
//!
//! The budget, the jitter's source of chance, the name and the observers belong to the layer value:
//! every service that it wraps, and every clone, shares them.
//!
//! # Events
//!
//! `Admitted` · `Settled` · `Abandoned` of the whole call · `Retried` when a further attempt is
//! sent · `Withheld` with the reason where none is made although the outcome was one to try again ·
//! `Rejected` with `DeadlineExceeded` (see Readiness). The [`Attempt`] is in the request's
//! extensions, where the policy is one for HTTP or gRPC.

mod config;
mod future;
mod layer;
mod service;
mod session;
mod state;
#[cfg(test)]
mod tests;

pub use crate::backoff::{Backoff, Delays, Jitter};
pub use crate::budget::{Budget, BudgetConfig};
pub use crate::policy::{Attempt, Classified, Hint, Idempotent, Policy};
pub use config::Config;
pub use future::ResponseFuture;
pub use layer::{Builder, RetryLayer};
pub use service::Retry;
