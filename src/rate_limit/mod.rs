//! Rate limit: so many calls a second, and no more than a burst at once.
//!
//! # What it does
//!
//! Lets calls through at a rate, and refuses those that come too early with
//! [`Reason::RateLimited`](crate::Reason::RateLimited) and the exact time to wait as
//! [`retry_after`](crate::Rejected::retry_after), or, with [`Builder::max_wait`], makes them wait for
//! their turn. A call whose turn would come later than that, or later than its deadline, is refused
//! at once: nobody waits for nothing.
//!
//! The algorithm is the generic cell rate algorithm (GCRA, ITU-T I.371) by the `governor` crate: a
//! bucket of `burst` calls that fills up evenly, by one call each `period / calls`. In any time `t`
//! at most `burst + t * calls / period` calls pass: so in the first second after a rest it is the
//! burst *and* the rate. For a strict limit of n in each window of a second, take a rate and a burst
//! of `n / 2`. There are no windows that start anew, at whose edge twice as many could pass.
//!
//! # When to use it
//!
//! On a server, to give each tenant its share ([`Builder::key`]); on a client, to keep to what a
//! provider allows. A rate says nothing about what the service can bear: when calls become slow, the
//! same rate needs more of everything. For that there are bulkhead and adaptive limit.
//!
//! The rate is that of one layer value in one process. Of n instances behind a load balancer each has
//! its own.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use buttress::{BoxError, Rejectable, rate_limit::RateLimitLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! struct Request { tenant: String }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! let limit = RateLimitLayer::builder()
//!     .name("api")
//!     .per_second(10)
//!     .burst(2)
//!     .key_ref(|request: &Request| request.tenant.as_str())
//!     .build();
//! let handle = limit.handle();
//!
//! let mut api = ServiceBuilder::new()
//!     .layer(limit)
//!     .service_fn(async |request: Request| Ok::<_, BoxError>(request.tenant));
//!
//! let request = |tenant: &str| Request { tenant: tenant.to_owned() };
//! for _ in 0..2 {
//!     api.ready().await.unwrap().call(request("acme")).await.unwrap();
//! }
//! let error = api.ready().await.unwrap().call(request("acme")).await.unwrap_err();
//! assert_eq!(error.rejected().unwrap().retry_after(), Some(Duration::from_millis(100)));
//! assert_eq!((handle.available("acme"), handle.available("umbrella")), (0, 2));
//! # }
//! ```
//!
//! # What it counts
//!
//! Calls when they come, whatever becomes of them: a call that fails has had its turn. A refused one
//! costs nothing. With [`Builder::cost`] a call counts for several.
//!
//! A rate that is no whole number of nanoseconds between calls is cut to one: 3 a second is one each
//! 333,333,333 ns. Up to 10,000,000 a second that is less than 1 % off.
//!
//! # Readiness
//!
//! Ready when the inner service is: nothing is reserved by `poll_ready`. A call that is refused
//! leaves the instance its readiness for the next call. A call that waits holds none of the inner
//! service's readiness: it gives back the grant of the instance it came through, and readies a clone
//! of its own when its turn has come. That is why waiting asks for `S: Clone`, and refusing does not.
//! Where the clone is not ready then, the rest of `max_wait` and the deadline still bound the wait:
//! [`Reason::QueueTimedOut`](crate::Reason::QueueTimedOut) and
//! [`Reason::DeadlineExceeded`](crate::Reason::DeadlineExceeded).
//!
//! Waiting calls pass in the order in which they came, each at a time that was settled when it came.
//! Timers have a grain of a millisecond: turns of the same one come together, and the rate is kept.
//!
//! # Cancellation
//!
//! A call that has been let through has used its turn, however it ends. One that is dropped while it
//! waits gives its turn back if nobody has come after it. Otherwise the turn passes unused: those
//! behind keep the times that they were promised, and no newcomer overtakes them. So leaving never
//! lets more calls through than the rate, and may let through less.
//!
//! # Sharing
//!
//! All services made by one layer value, and all their clones, share the buckets; a clone of the
//! layer value does too. For a rate of its own, build a second layer.
//!
//! With keys, a key whose bucket is full again is the same as one that never came, and is forgotten
//! when a new one needs its place: there is nothing to clean up, and no task that does. Between
//! [`Builder::capacity`] and the keys that were called within the last `burst * period / calls`,
//! memory follows the smaller. A large table (4096 and more) is divided by 16, and a part may be full
//! a little earlier than the whole. What happens to a new key then is [`Overflow`]'s. No key is shown
//! in `Debug`, events, metrics or refusals.
//!
//! Inside a [`keyed`](crate::keyed) layer a rate limit is [pinned](crate::keyed::Pinned) while its
//! bucket is not full, so that nobody gets a new burst by being forgotten. One by keys is not; its
//! handle says whether it should be.
//!
//! # Events
//!
//! `Queued` · `Admitted { waited }` · `Settled` · `Abandoned` · `Rejected` with `RateLimited`,
//! `QueueTimedOut` or `DeadlineExceeded` · `WouldReject` in shadow mode.

mod bucket;
mod config;
mod cost;
mod entry;
mod future;
mod handle;
mod hashes;
mod keys;
mod layer;
#[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
mod loom_tests;
#[cfg(test)]
mod model_tests;
mod service;
mod shard;
mod standing;
mod state;
mod table;
mod turn;
mod waiting;

pub use crate::admission::modes::{Queue, Refuse};
pub use config::{Config, Overflow};
pub use cost::{FindCost, Fixed};
pub use future::ResponseFuture;
pub use handle::{Handle, KeyedHandle};
pub use keys::{Buckets, FindBucket, PerBorrowedKey, PerKey, Whole};
pub use layer::{Builder, RateLimitLayer};
pub use service::RateLimit;
pub use standing::Standing;
pub use waiting::WaitingFuture;
