//! HTTP: judging responses, answering refusals, sending requests again, holding a permit until a
//! body has ended, and ending bodies that take too long.
//!
//! # What it does
//!
//! - [`respond`] wraps a stack of layers. What they refuse becomes a response; the service's own
//!   answers and errors pass untouched, and so does its error type.
//! - [`Statuses`] is the classifier for HTTP: what a status says about the service.
//! - [`HoldBody`] wraps a bulkhead or a circuit breaker, so that a call lasts until its response
//!   body has ended, and not only until its head is there.
//! - [`BodyTimeoutLayer`] bounds how long a response body may take: the wait for its next frame,
//!   or all of it. [`TimeoutBody`] does the same for any body, that of a request for one.
//! - With feature `rate-limit`, `RateLimitHeadersLayer` tells callers how they stand with a
//!   rate limit.
//! - [`RetryPolicy`] says which requests a [`RetryLayer`](crate::retry::RetryLayer) may send
//!   again, and [`ReplayBody`] keeps what a request body streams, so that it can be.
//! - [`FromRequest`](crate::timeout::FromRequest) finds deadlines in `http::Request`, and
//!   [`DeadlineLayer`](crate::timeout::DeadlineLayer) and
//!   [`PropagateDeadlineLayer`](crate::timeout::PropagateDeadlineLayer) read and write its headers.
//!
//! # When to use it
//!
//! On a server, always [`respond`]: a route of axum or hyper must not fail, so that a refusal has
//! to be an answer. On a client, [`Statuses`] wherever a layer judges outcomes: to the default
//! classifier a 500 is an answer like any other, and a success. [`respond`] helps there where the
//! code around the client should see neither a new error type nor a new kind of error.
//!
//! [`BodyTimeoutLayer`] wherever bodies stream: every other timeout is done when the head is there.
//!
//! # Example
//!
//! A server. The order is outside in:
//!
//! ```
//! use std::time::Duration;
//! use axum::{Router, routing::get};
//! use buttress::{bulkhead::BulkheadLayer, http::respond, timeout::TimeoutLayer};
//! use tower::ServiceBuilder;
//!
//! let app: Router = Router::new()
//!     .route("/report", get(async || "a slow report"))
//!     .layer(respond(
//!         ServiceBuilder::new()
//!             .layer(BulkheadLayer::new(64))
//!             .layer(TimeoutLayer::new(Duration::from_secs(5))),
//!     ));
//! ```
//!
//! A client:
//!
//! ```
//! use axum::body::Body;
//! use buttress::{LiftLayer, circuit_breaker::CircuitBreakerLayer, http::Statuses};
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower::ServiceBuilder;
//!
//! let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
//! let client = ServiceBuilder::new()
//!     .layer(CircuitBreakerLayer::builder().name("users").classify(Statuses).build())
//!     .layer(LiftLayer)
//!     .service(client);
//! # let _ = client;
//! ```
//!
//! A client that sends requests again. Its body is one that can be replayed:
//!
//! ```
//! use std::time::Duration;
//! use axum::body::Body;
//! use buttress::{LiftLayer, http::{ReplayBody, RetryPolicy}};
//! use buttress::{retry::RetryLayer, timeout::TimeoutLayer};
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower::ServiceBuilder;
//!
//! let client = ServiceBuilder::new()
//!     .map_request(ReplayBody::<Body>::wrap)
//!     .layer(RetryLayer::new(RetryPolicy::new()))
//!     .layer(TimeoutLayer::new(Duration::from_secs(1)))
//!     .layer(LiftLayer)
//!     .service(Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Body>>());
//! # let _ = client;
//! ```
//!
//! # What it counts
//!
//! [`ReplayBody`] counts the bytes that it keeps; the others nothing. A refusal is answered like
//! this:
//!
//! | reason | status | `Retry-After` |
//! | --- | --- | --- |
//! | `BulkheadFull`, `LimitReached`, `Overloaded`, `QueueTimedOut`, `CircuitOpen` | 503 | the wait; 1 where none is known |
//! | `RateLimited` | 429 | the wait; 1 where none is known |
//! | `TimedOut`, `DeadlineExceeded` | 504 | the wait, where one is known |
//!
//! The wait is in whole seconds, rounded up. The body is an RFC 9457 document, and it is the same
//! for every refusal with the same reason:
//!
//! ```text
//! HTTP/1.1 503 Service Unavailable
//! content-type: application/problem+json
//! cache-control: no-store
//! retry-after: 5
//! buttress-refusal: circuit_open
//!
//! {"type":"urn:problem-type:buttress:circuit_open","title":"circuit open","status":503,"code":"circuit_open"}
//! ```
//!
//! Its `code` and the header [`REFUSAL`] are [`Reason::code`](crate::Reason::code), which is
//! stable. The header is for clients: it tells a refusal from an answer of the service itself.
//! The name of the layer, keys, users and the text of errors never get into a response.
//!
//! Inside the process the response has the [`Rejected`](crate::Rejected) itself in its
//! extensions, for logs, for documents of your own, and for [`Statuses`] further out, to which a
//! refusal of this process says nothing about the service:
//!
//! ```
//! use axum::{Router, response::{IntoResponse, Response}, routing::get};
//! use buttress::{Rejected, bulkhead::BulkheadLayer, http::respond};
//! use tower::ServiceBuilder;
//!
//! let mine = |response: Response| match response.extensions().get::<Rejected>() {
//!     Some(refusal) => (response.status(), format!("sorry: {}", refusal.reason())).into_response(),
//!     None => response,
//! };
//! let app: Router = Router::new().route("/", get(async || "hello")).layer(
//!     ServiceBuilder::new()
//!         .map_response(mine)
//!         .map_response(IntoResponse::into_response)
//!         .layer(respond(BulkheadLayer::new(64))),
//! );
//! ```
//!
//! # Readiness
//!
//! [`Respond`], [`Holding`] and [`BodyTimeout`] are ready when the stack inside is. A stack that refuses in place
//! of getting ready, which the layers of this crate do not do, is ready too: the next call is
//! answered with that refusal.
//!
//! # Cancellation
//!
//! Dropping a response future drops the call inside. Dropping a body under [`HoldBody`] ends the
//! call; its page says with which verdict. Dropping a [`TimeoutBody`] drops the body inside.
//!
//! # Sharing
//!
//! The clones of one [`ReplayBody`] share what was kept. The other adapters have no state. The layers in the stack keep theirs in the layer value, so one
//! [`respond`]`(stack)` is one limit, whatever number of routes it is laid over and however often
//! a router lays it. Two routes that must not share get two stacks.
//!
//! `respond` takes whatever is a `Layer`:
//!
//! - one layer, a `ServiceBuilder`, or a tuple of layers;
//! - `tower::util::option_layer(..)`, as a part of the stack. It cannot switch [`respond`] itself
//!   or [`HoldBody`] or [`BodyTimeoutLayer`] on and off: they change the type of the body.
//! - a `Buffer`. The error outside is then `BoxError`, because the buffer itself can fail. An axum
//!   router needs a `HandleErrorLayer` around the `respond`; the refusals do not reach it.
//!
//! # Events
//!
//! With [`HoldBody`], the layer inside reports the end of a call when the body has ended.
//! [`BodyTimeoutLayer`] reports calls under its own name, `body_timeout`; its page says how. The
//! others report nothing.

mod body_timeout;
mod extended;
mod hold;
#[cfg(feature = "rate-limit")]
mod rate_limit;
mod replay;
mod respond;
mod retry;
mod retry_after;
mod statuses;

#[cfg(feature = "grpc")]
pub(crate) use extended::{only, set};
#[cfg(feature = "grpc")]
pub(crate) use respond::Render;
#[cfg(test)]
pub(crate) use respond::every_reason;
pub(crate) use respond::{comes_back, document};
#[cfg(feature = "grpc")]
pub(crate) use retry::{copy, is_keyed, mark, never_sent};
#[cfg(feature = "grpc")]
pub(crate) use retry_after::LONGEST_HINT;
pub(crate) use retry_after::value as retry_after_value;

pub(crate) use retry::{
    IDEMPOTENCY_KEY, fresh as fresh_key, fresh_bare as fresh_bare_key, is_in_progress, is_keyed_by,
};
pub(crate) use retry_after::hint as retry_after_hint;

pub use body_timeout::{
    BodyTimeout, BodyTimeoutBuilder, BodyTimeoutConfig, BodyTimeoutFuture, BodyTimeoutLayer,
    TimeoutBody,
};
pub use hold::{HeldBody, HoldBody, HoldFuture, Holding};
#[cfg(feature = "rate-limit")]
pub use rate_limit::{RateLimitHeaders, RateLimitHeadersFuture, RateLimitHeadersLayer};
pub use replay::{Replay, ReplayBody};
pub use respond::{Problem, REFUSAL, Respond, RespondFuture, RespondLayer, ResponseBody, respond};
pub use retry::{AsError, BySource, RetryPolicy, Unsent};
pub use statuses::Statuses;
