//! gRPC, for tonic: judging calls, refusals as statuses, and sending calls again.
//!
//! # What it does
//!
//! - [`respond`] wraps a stack of layers around a server. What they refuse becomes a gRPC status.
//! - [`Codes`] is the classifier for gRPC: what a status code says about the service.
//! - [`RetryPolicy`] says which calls may be sent again, and hears the server's pushback. Its page
//!   shows a client.
//! - `tonic::Status` can carry a refusal: it is [`Rejectable`](crate::Rejectable), and made of
//!   [`Rejected`](crate::Rejected) and of [`Error<E>`](crate::Error) by `From`.
//! - Every service of this crate passes tonic's `NamedService` on, so that what it wraps can
//!   still be added to a server.
//! - [`FromRequest`](crate::timeout::FromRequest) finds deadlines in `tonic::Request`, and
//!   [`DeadlineLayer`](crate::timeout::DeadlineLayer) and
//!   [`PropagateDeadlineLayer`](crate::timeout::PropagateDeadlineLayer) read and write its
//!   metadata.
//! - A call that tonic's channel has ended at its `grpc-timeout` is `DEADLINE_EXCEEDED` after
//!   `Status::from`; tonic itself says `CANCELLED`.
//!
//! # When to use it
//!
//! With tonic. The layers themselves stand on HTTP requests there, below tonic's codec, where
//! every answer is a 200: [`Codes`] and not `http::Statuses` tells which of them are failures.
//!
//! # Example
//!
//! A client. The refusals of the layers arrive as the `Status` of the call:
//!
//! ```
//! use buttress::{LiftLayer, Rejected};
//! use buttress::{bulkhead::BulkheadLayer, circuit_breaker::CircuitBreakerLayer, grpc::Codes};
//! use tonic::{Status, transport::Endpoint};
//! use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
//! use tower::ServiceBuilder;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let breaker = CircuitBreakerLayer::builder().name("users").classify(Codes).build();
//! # breaker.handle().force_open("there is no server here");
//! let channel = ServiceBuilder::new()
//!     .map_err(Status::from)
//!     .layer(breaker)
//!     .layer(BulkheadLayer::new(64))
//!     .layer(LiftLayer)
//!     .service(Endpoint::from_static("http://localhost:50051").connect_lazy());
//! let mut client = HealthClient::new(channel);
//!
//! if let Err(status) = client.check(HealthCheckRequest::default()).await {
//!     match Rejected::find(&status) {
//!         Some(refusal) => println!("not sent: {refusal}"),
//!         None => println!("failed: {status}"),
//!     }
//!     # assert!(Rejected::find(&status).is_some());
//! }
//! # }
//! ```
//!
//! A server is shown at [`respond`].
//!
//! # What it counts
//!
//! Nothing. A refusal becomes this status:
//!
//! | reason | code | pushback |
//! | --- | --- | --- |
//! | `BulkheadFull`, `LimitReached`, `Overloaded`, `QueueTimedOut`, `CircuitOpen` | `UNAVAILABLE` | the wait, where one is known |
//! | `RateLimited` | `RESOURCE_EXHAUSTED` | the wait; a second where none is known |
//! | `TimedOut`, `DeadlineExceeded` | `DEADLINE_EXCEEDED` | the wait, where one is known |
//!
//! The pushback is in the metadata, as `grpc-retry-pushback-ms`, rounded up. The metadata
//! `buttress-refusal` tells a refusal from a status of the service itself; its value is
//! [`Reason::code`](crate::Reason::code). The message says the reason and nothing more: names,
//! keys and the text of errors stay inside.
//!
//! Inside the process, the refusal is the source of the `Status`, and [`respond`] puts it into
//! the extensions of the response.
//!
//! # Readiness, cancellation, sharing, events
//!
//! As in [`http`](crate::http), whose [`Respond`](crate::http::Respond) and
//! [`HoldBody`](crate::http::HoldBody) serve gRPC as well. A status that comes after the answer,
//! in the trailers, is seen by a layer only through `HoldBody`.

mod codes;
mod extended;
mod named;
mod pushback;
mod respond;
mod retry;
mod status;

pub use codes::Codes;
pub use respond::{TrailersOnly, respond};
pub use retry::{Always, IsIdempotent, Paths, RetryPolicy, Undeclared};
