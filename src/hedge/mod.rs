//! Hedge: a second attempt beside a first one that takes long, so that a slow few do not make the
//! tail.
//!
//! # What it does
//!
//! When a call has not ended after a delay, the same request is sent once more, beside the first.
//! The first *acceptable* result wins, a success or a permanent failure; the other attempt is
//! dropped before the caller has the answer. There are never more than two attempts.
//!
//! The [`Delay`] is fixed, or a percentile of the latencies of late: by default the 95th, so that
//! about one call in twenty is sent twice. Before a hundred latencies are known nothing is hedged.
//!
//! An attempt that fails is dropped while the other is waited for. If the first fails before the
//! second is sent, with a `Transient` failure, the second is sent at once. Not after `Overload`:
//! who asked for less does not get more, unless the hint says at once. Not if the
//! [`Policy`](crate::retry::Policy) says that the request may not be sent again after this outcome,
//! or the server said stop ([`Hint`](crate::retry::Hint)). And not after a refusal on this side
//! (`Ignore`). When nothing else is in flight, the last outcome is the answer, untouched, save
//! that a refusal says `was_dispatched` if the service may have seen the other attempt.
//!
//! Before a second attempt is sent, the request's deadline must not have passed, and the
//! [`Budget`](crate::retry::Budget) must pay for it. Otherwise the first attempt is left alone.
//!
//! # When to use it
//!
//! For reads, from a service with several replicas, of which any may be slow for a moment: a pause
//! for garbage, a cold cache, a busy disk. With one replica in 25 slow by a factor of 20, the 99th
//! percentile falls to less than a fifth, for 4 to 5 % more calls. The technique is that of Dean
//! and Barroso, [The Tail at Scale].
//!
//! Only requests that may take effect twice may be hedged: the service sees both, and a loser that
//! is dropped here may run to its end there. [`Policy::may_hedge`](crate::retry::Policy::may_hedge)
//! says which, and `clone_request`. `http::RetryPolicy` hedges idempotent methods and requests with
//! an `Idempotency-Key`; `grpc::RetryPolicy` the calls that were declared idempotent.
//!
//! It **harms** where slowness is load: then all calls are slow, and each second attempt makes them
//! slower. Three things bound that: the percentile follows the latencies, so that what is slow for
//! all soon is not hedged; the budget; and a
//! [circuit breaker](crate::circuit_breaker) or [bulkhead](crate::bulkhead) inside. With a fixed
//! delay the first is missing. It does not help against more slow calls than it hedges: where one
//! call in ten is slow, the 95th percentile is the latency of a slow call.
//!
//! # Example
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::time::Duration;
//! use buttress::LiftLayer;
//! use buttress::hedge::{Delay, HedgeLayer};
//! use buttress::retry::{Budget, Idempotent};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! let calls = AtomicU32::new(0);
//! let service = ServiceBuilder::new()
//!     .layer(
//!         HedgeLayer::builder(Idempotent)
//!             .name("search")
//!             .delay(Delay::Fixed(Duration::from_millis(30)))
//!             .budget(Budget::ratio(0.1))
//!             .build(),
//!     )
//!     .layer(LiftLayer)
//!     .service_fn(async |term: &'static str| {
//!         // The first replica is stuck.
//!         let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
//!         tokio::time::sleep(Duration::from_millis(if first { 5000 } else { 10 })).await;
//!         Ok::<_, std::io::Error>(format!("hits for {term}"))
//!     });
//!
//! let start = tokio::time::Instant::now();
//! assert_eq!(service.oneshot("tea").await.unwrap(), "hits for tea");
//! assert_eq!(start.elapsed(), Duration::from_millis(40));
//! # }
//! ```
//!
//! # What it counts
//!
//! The latencies of first attempts, from the first poll that finds them pending; one that is ready
//! in its first poll took no time, and reads no clock. Those that failed count, and those that lost
//! against a second attempt count with the time they had. Second attempts, abandoned calls and
//! refusals on this side do not.
//!
//! The histogram covers the last 60 s ([`Builder::window`]): from half of that to all of it, since
//! it is forgotten half by half. With fewer than a hundred latencies in there nothing is hedged, so
//! below about four calls a second choose a longer window or a fixed delay. Its buckets make the
//! delay longer than the percentile by 1/16 at most, never shorter; timers are accurate to 1 ms, and
//! never early. The percentile is taken anew after every 50 latencies.
//!
//! Each call deposits in the budget, and each second attempt withdraws one when its time comes. One
//! that is not sent in the end, because its instance was not ready before the first attempt won, is
//! given back.
//!
//! While nothing is slow, a call costs a clone of the request and of the inner service, and the
//! timer when it is first found pending. Nothing is allocated.
//!
//! # Readiness
//!
//! The inner service's. The instance that was made ready serves the first attempt. The second
//! readies a clone, when its time has come and not before, and waits for that beside the first. That
//! is why the inner service has to be `Clone`. It waits no longer than until the request's
//! deadline. An instance that fails to get ready is no outcome: the first attempt's is the answer.
//!
//! # Cancellation
//!
//! Dropping the response future drops both attempts. A second attempt that was paid for and not yet
//! sent goes back into the budget.
//!
//! # Sharing
//!
//! The latencies, the budget, the name and the observers belong to the layer value: every service
//! that it wraps, and every clone, shares them. One layer value for each kind of call: the
//! percentile of a mixture of fast and slow calls says little about either.
//!
//! One budget belongs to one service behind. Give a clone of it to every stack that calls that
//! service, those that hedge and those that [retry](crate::retry). But let each call deposit in it
//! once: where a hedge stands inside a retry, or the other way round, each needs a budget of its
//! own, or calls count double. The attempts multiply there as well; better choose one of them.
//!
//! # Events
//!
//! `Admitted` · `Settled` · `Abandoned` of the whole call · `Hedged` when the second attempt is sent
//! · `Withheld` when its time had come and it is not sent: `Budget`, `Deadline`, `Stopped` (a hint,
//! or an overload), or `Request` (the policy said no, or its instance failed to get ready). The
//! [`Attempt`](crate::retry::Attempt) is in the request's extensions, where the policy is one for
//! HTTP or gRPC.
//!
//! [The Tail at Scale]: https://research.google/pubs/the-tail-at-scale/

mod config;
mod future;
mod handle;
mod layer;
#[cfg(any(test, fuzzing, buttress_fuzz))]
pub(crate) mod model;
mod pace;
mod second;
mod service;
mod shared;
mod state;

pub use config::{Config, Delay};
pub use future::ResponseFuture;
pub use handle::Handle;
pub use layer::{Builder, HedgeLayer};
pub use service::Hedge;
