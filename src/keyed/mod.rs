//! Keyed: an instance of a layer, or of a whole stack, for each host, tenant or route.
//!
//! # What it does
//!
//! Finds the key of a request, and sends the request through the instance of that key. The first
//! request with a key makes one: `layer(key)`, applied to a clone of the inner service, once. It
//! may be any layer or stack, of this crate or tower's own. What happens to one key is nothing to
//! the others: one host's circuit opens, and the rest goes on.
//!
//! Keys are kept as long as there is room: [`Builder::capacity`], 10,000 by default. A new key
//! beyond that takes the place of one that is idle: without a call in flight, and not
//! [pinned](Pinned). Those that have not been used since the last look go first, and 64 places are
//! looked at for one new key. With [`Builder::idle`] a key also goes when it has been idle for so
//! long.
//!
//! Never forgotten is a circuit breaker that is not closed, nor a bulkhead or adaptive limit of
//! which a slot is held, nor a rate limit whose bucket is not full, wherever in the instance it is:
//! the layers of this crate report themselves when the closure builds them.
//! [`Builder::keep_while`] adds to that. Whoever gives each key a clone of a layer that was built
//! before gives all keys the same instance, which pins none.
//!
//! Where no key can go, the new one shares an instance with all others in its place
//! ([`Overflow::Share`]), or is refused with [`Reason::Overloaded`](crate::Reason::Overloaded)
//! ([`Overflow::Refuse`]).
//!
//! # When to use it
//!
//! Around calls to many hosts, so that a dead one does not open the circuit of the others; in front
//! of a handler with many tenants, so that no tenant can take all there is. Where the keys are few
//! and known, a layer for each is simpler, and two routes of an axum `Router` are better served by
//! two layers.
//!
//! Whoever sends requests chooses the keys: take them from what has been authenticated, and leave
//! the capacity bounded. A breaker that is open and never called again is kept: with many hosts
//! that are gone for good, [`Handle::remove`] them, or let the capacity share.
//!
//! # Example
//!
//! A client with a circuit breaker for each host:
//!
//! ```
//! use buttress::circuit_breaker::{CircuitBreakerLayer, Phase};
//! use buttress::{BoxError, keyed::KeyedLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! #[derive(Clone)]
//! struct Request { host: &'static str }
//!
//! let breakers = KeyedLayer::by_ref(
//!     |request: &Request| request.host,
//!     |_host: &str| CircuitBreakerLayer::builder().consecutive_failures(3).build(),
//! );
//! let handle = breakers.handle();
//!
//! let mut client = ServiceBuilder::new().layer(breakers).service_fn(async |request: Request| {
//!     if request.host == "dead" { Err(BoxError::from("refused")) } else { Ok("hello") }
//! });
//!
//! for _ in 0..3 {
//!     client.ready().await.unwrap().call(Request { host: "dead" }).await.unwrap_err();
//! }
//! assert_eq!(handle.get("dead").unwrap().handle().phase(), Phase::Open);
//!
//! let answer = client.ready().await.unwrap().call(Request { host: "alive" }).await;
//! assert_eq!(answer.unwrap(), "hello");
//! # }
//! ```
//!
//! A server with a bulkhead and a timeout for each tenant, which can be resized for one of them:
//!
//! ```
//! use std::time::Duration;
//! use buttress::keyed::{KeyedLayer, WithHandle};
//! use buttress::{BoxError, bulkhead::BulkheadLayer, timeout::TimeoutLayer};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! struct Request { tenant: u64 }
//!
//! let tenants = KeyedLayer::builder(
//!     |request: &Request| request.tenant,
//!     |_tenant: &u64| {
//!         let bulkhead = BulkheadLayer::new(20);
//!         let handle = bulkhead.handle();
//!         let stack = ServiceBuilder::new()
//!             .layer(bulkhead)
//!             .layer(TimeoutLayer::new(Duration::from_secs(2)));
//!         WithHandle::new(stack.into_inner(), handle)
//!     },
//! )
//! .name("tenants")
//! .capacity(5_000)
//! .idle(Duration::from_secs(600))
//! .build();
//! let handle = tenants.handle();
//!
//! let service = ServiceBuilder::new()
//!     .layer(tenants)
//!     .service_fn(async |request: Request| Ok::<_, BoxError>(request.tenant));
//! assert_eq!(service.oneshot(Request { tenant: 7 }).await.unwrap(), 7);
//!
//! handle.get(&7).unwrap().handle().resize(40);
//! # }
//! ```
//!
//! # What it counts
//!
//! Keys, and the calls in flight of each: from `call` until the response future is ready, is
//! dropped, or panics; until the response body has ended where `http::HoldBody` stands around it.
//!
//! A call that finds its key allocates nothing. It locks one of sixteen shards, for the time of a
//! look-up by hash, and reads the clock twice if there is an [`idle`](Builder::idle) time, else
//! never. A key takes at most 300 bytes, beside its own size, its layer, and what that makes of
//! the inner service; so much again of the latter two for each further service of the layer value
//! that the key is used through.
//!
//! To see instances apart in events and metrics, name them: `.name(labels.of(host))`, with
//! [`Labels`] that bound how many names there ever are. The capacity alone would not: it bounds
//! how many keys there are at a time, and metrics remember them all.
//!
//! # Readiness
//!
//! Always ready: which instance will be asked is known with the request. The response future
//! readies a clone of the instance of its key, and calls that very clone. An instance whose
//! readiness is stuck stops the calls of its key alone. The inner service has to be `Clone`, and so
//! what the layers make of it.
//!
//! # Cancellation
//!
//! Dropping the response future drops the inner one, or the clone that was to get ready; the key is
//! idle again. A closure that panics does so in `call`, and leaves nothing behind.
//!
//! # Sharing
//!
//! All services made by one layer value, and all their clones, share the keys and the *layer* of
//! each: so a key has one circuit on all eight routes of a router, as if that breaker alone had
//! been put around them. They cannot share what the layer makes of the inner service, since each
//! has another one inside: each `layer()` of the keyed layer builds that once for each key. tower's
//! own layers keep their state in there. With `ConcurrencyLimitLayer` a key has one limit in one
//! service and its clones, and another on the next route; `GlobalConcurrencyLimitLayer` and the
//! layers of this crate have one for all.
//!
//! The closures run under no lock. Where two calls bring a new key at the same time, both may make
//! a layer; one is kept, and the other is dropped before it is used.
//!
//! # Events
//!
//! `Rejected(Overloaded)` of the calls that it refuses itself · `WouldReject` in shadow mode. All
//! else is for the layers of the keys to tell.

mod config;
mod entry;
mod find;
mod future;
mod handle;
mod labels;
mod layer;
#[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
mod loom_tests;
#[cfg(test)]
mod model_tests;
mod registry;
mod service;
mod site;
mod state;
#[cfg(test)]
mod threads_tests;
mod with_handle;

pub use crate::pinned::Pinned;
pub use config::{Config, Overflow};
pub use find::{ByRef, ByValue, FindKey};
pub use future::{HeldInstance, ResponseFuture};
pub use handle::Handle;
pub use labels::Labels;
pub use layer::{Builder, KeyedLayer};
pub use service::Keyed;
pub use with_handle::WithHandle;
