//! Idempotency keys: a request that is sent again takes effect once, and gets the same answer.
//!
//! # What it does
//!
//! A client that gets no answer cannot know whether its request took effect. It sends the request
//! again with the same `Idempotency-Key`, and the layer sees to it that the handler runs once: the
//! first request is given a *claim* on the *record* of its key, runs, and leaves its answer there;
//! every repetition gets that answer, byte for byte, for as long as the *retention* lasts.
//!
//! | the record of the key | the request |
//! | --- | --- |
//! | none | runs |
//! | completed | gets the same answer, with `idempotency-replayed: true` |
//! | of another request | is refused: 422 `fingerprint_mismatch` |
//! | in flight | is refused: 409 `in_progress`, with `Retry-After`; or waits ([`Concurrent::Wait`]) |
//! | in flight, and its holder not heard of for a lease | runs in its place: a *takeover* |
//! | a tombstone: it ran, and its answer was not kept | is refused: 409 `result_unavailable` |
//! | indeterminate: nobody knows what came of it | is refused: 409 `outcome_unknown` |
//!
//! A request is one of its key, its tenant, its method and path; and it is *the same* request if
//! query, content type and body are the same. Records are named and compared by hashes: no key, no
//! tenant and no request body ever gets to the store, into a log, a metric or an error.
//!
//! Final answers are kept: 2xx, 3xx and 4xx, but for those that another attempt may turn out
//! differently (401, 403, 407, 408, 421, 423, 425, 426, 429). A 5xx, an error of the service and a
//! panic *release* the key, so that the next attempt runs. [`OutcomePolicy`] says otherwise, and a
//! handler can, by a [`Disposition`] in its response's extensions.
//!
//! ## What it cannot do
//!
//! No layer can run a handler exactly once. If the process dies between the effect and the record,
//! the effect has happened, and nobody wrote it down: once the lease has lapsed, the next attempt
//! takes over. What a handler can do about it, from the least to the most:
//!
//! - Look at [`Context::is_takeover`], and find out what an earlier execution has done; send
//!   [`Context::downstream_key`] to services that have idempotency keys of their own.
//! - Call [`Context::begin_effects`] right before the effect. From there on nothing runs again: a
//!   crash or failure leaves `outcome_unknown`, for people to look into. Payments want this, or
//!   [`OutcomePolicy::store_everything`] with [`LeaseExpiry::Indeterminate`].
//! - Keep the answer in the transaction of the effect: `Context::complete_in`, with a
//!   `PostgresStore` in the same database. Both are there or neither is. This is exactly once, for
//!   effects in that database.
//!
//! # When to use it
//!
//! For requests with effects that clients send again: orders, payments, messages. Without it a
//! retry of a `POST` is a second effect. The server's half is [`IdempotencyLayer`], for axum, hyper
//! and, with [`Builder::grpc`], unary calls of tonic; [`OperationLayer`] is the same for any
//! `Service<Req>`. The client's half is [`KeyLayer`], and [`RetryPolicy`] to retry with it.
//!
//! | store | for | keeps |
//! | --- | --- | --- |
//! | [`MemoryStore`] | one process | until the process ends |
//! | `RedisStore` (feature `redis`) | many | as well as the server does: a failover can forget claims |
//! | `PostgresStore` (feature `postgres`) | many | what is committed |
//!
//! Where it stands, outside in: request id and tracing → CORS → compression → rate limit →
//! authentication → authorisation → **idempotency** → timeout → concurrency limit → handler. A
//! replay skips everything further in, so authorisation must not be there; what CORS, compression
//! and request ids add to a response further in would be kept and replayed. A timeout further in
//! answers 504, which releases the key, although the handler may have been half done: mark the
//! effects. A timeout further out only ends the wait, and the request runs on.
//!
//! # Example
//!
//! ```
//! use axum::{Router, body::Body, http::{Request, StatusCode}, routing::post};
//! use buttress::idempotency::{IdempotencyLayer, MemoryStore, Scope};
//! use tower::ServiceExt;
//!
//! /// Put there by whatever authenticates requests, further out.
//! #[derive(Clone)]
//! struct Customer(String);
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let keys = IdempotencyLayer::builder(MemoryStore::new())
//!     .scope(|request| request.extensions.get().map(|Customer(id)| Scope::new(id)))
//!     .require_key(true)
//!     .build();
//! let app: Router =
//!     Router::new().route("/orders", post(async || (StatusCode::CREATED, "order 1"))).layer(keys);
//!
//! let order = || {
//!     Request::post("/orders")
//!         .header("idempotency-key", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"")
//!         .extension(Customer("ada".into()))
//!         .body(Body::from("one teapot"))
//!         .unwrap()
//! };
//! let first = app.clone().oneshot(order()).await.unwrap();
//! let again = app.oneshot(order()).await.unwrap();
//! assert_eq!((first.status(), again.status()), (StatusCode::CREATED, StatusCode::CREATED));
//! assert_eq!(again.headers()["idempotency-replayed"], "true");
//! # }
//! ```
//!
//! # What it counts
//!
//! Records, in the store, by its clock alone. A claim holds for a lease of 60 s and is renewed
//! every third of that while the handler runs, for 15 min at most; a renewal that fails is tried
//! again at once and then every second. Whoever finds a claim that has lapsed takes over, with a
//! greater [`Fence`], five executions in all, after which the record is indeterminate. A holder
//! that comes back after that can change nothing: the answer that it gives is the one that is kept.
//!
//! The retention, 24 h, counts from the end of a request. A client must give up before: after it
//! the same key is a new request.
//!
//! Requests and answers are held in memory up to 1 MiB each. A longer request is refused (413); a
//! longer answer, one that has not ended within 5 s, an event stream and an upgrade pass through,
//! and leave a tombstone.
//!
//! A protected request costs one task, one call to the store before the handler and one after it.
//! An unprotected one costs a look at its method and headers.
//!
//! # Readiness
//!
//! Always ready. The inner service is made ready by the request that runs it, as a clone, so that
//! replays and refusals take none of its capacity. The inner service has to be `Clone`, and service,
//! futures and bodies have to be `Send`, since a request runs in a task of its own.
//!
//! # Cancellation
//!
//! A caller may leave at any time; hyper drops a handler within about a millisecond of its client
//! closing the connection, or even its half of it. Before the request body is there, nothing has
//! happened. Before the handler was called, the claim is given back. After that the request runs to
//! its end, in the span of its caller, and the next attempt finds the answer ([`OnCancel`]).
//! [`Handle::drain`] waits for such requests before a shutdown; [`Config::max_in_flight`] bounds
//! them, since limits further out do not see them any more. A panic of the handler is resumed in
//! its caller.
//!
//! # Sharing
//!
//! The layer value holds the store, the limits, the observers and the handle: every service that it
//! wraps, and every clone, shares them. Layers over one store share its records: those of two
//! services are kept apart by [`Builder::namespace`].
//!
//! # Events
//!
//! `Idempotency(result)` for what was done about each request, see
//! [`IdempotencyResult`](crate::observe::IdempotencyResult) · `StoreCalled` for each `begin` and
//! `complete` · `Admitted`, then `Settled` or `Abandoned`, of each execution · `Queued` of a request
//! that waits for another · `Rejected` of each that is refused. What the store fails with goes to
//! [`Observe::on_store_error`](crate::observe::Observe::on_store_error).

mod claim;
#[cfg(feature = "http")]
mod client;
mod dyn_store;
mod execution;
#[cfg(feature = "http")]
mod http;
mod identity;
#[cfg(feature = "serde")]
mod json;
mod key;
pub(crate) mod memory;
mod operation;
mod outcome;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod state;
#[cfg(test)]
mod state_tests;
mod store;

#[cfg(all(feature = "http", any(test, fuzzing, buttress_fuzz)))]
pub(crate) use self::http::stored_record;

#[cfg(feature = "axum")]
pub use self::http::ContextMissing;

#[cfg(feature = "http")]
pub use self::http::{
    AlreadyRecorded, Body, Builder, Fingerprinter, HeaderFilter, Idempotency, IdempotencyLayer,
    KeyScope, NoScope, OnUnstorable, OutcomePolicy, Problem, ResponseFuture, Scoped,
};
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresStore, PostgresStoreBuilder};
#[cfg(feature = "redis")]
pub use self::redis::{RedisStore, RedisStoreBuilder};
pub use claim::{Claim, Fence, OwnerId};
#[cfg(feature = "http")]
pub use client::{IdempotencyKey, Key, KeyLayer, RetryAdvice, RetryPolicy, classify};
pub use dyn_store::{AnyStore, DynStore};
pub use execution::{
    Concurrent, Config, Context, ContextError, Drained, Handle, OnCancel, OnStoreError,
};
pub use identity::{Fingerprint, RecordKey, Scope};
#[cfg(feature = "serde")]
pub use json::JsonCodec;
pub use key::{KeyError, KeySyntax};
pub use memory::{MemoryStore, MemoryStoreBuilder};
pub use operation::{
    Idempotent, OpIdentity, Operation, OperationBuilder, OperationError, OperationFuture,
    OperationLayer, Operations, OutcomeCodec,
};
pub use outcome::Disposition;
pub use store::{
    Abandon, Begin, BeginRequest, Capabilities, Fenced, LeaseExpiry, RecordState, Snapshot, Store,
    StoreError, StoredOutcome,
};
