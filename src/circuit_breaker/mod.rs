//! Circuit breaker: stops calling a service that is failing, and finds out when it is back.
//!
//! # What it does
//!
//! While the circuit is **closed**, calls pass and their outcomes are judged. When a trip is
//! reached the circuit **opens**: calls are refused at once with
//! [`Reason::CircuitOpen`](crate::Reason::CircuitOpen) and the time left. When that time is over
//! the next call finds the circuit **half open**: a few probes pass, and they decide. Enough
//! successes close it; the first failure opens it again, for longer.
//!
//! There are three trips. Naming one replaces the default; several named ones are alternatives.
//!
//! | trip | opens when | default |
//! | --- | --- | --- |
//! | [`Builder::failure_rate`] | at least so large a share of the calls in the window failed, and the window holds [`Builder::minimum_calls`] | 0.5 of [`Window::time`] 10 s, 20 calls |
//! | [`Builder::consecutive_failures`] | so many calls failed in a row | off |
//! | [`Builder::slow_calls`] | at least so large a share of the calls took longer than that, under the same window and minimum | off |
//!
//! The k-th opening in a row lasts `min(max, base * 2^(k-1))` with equal jitter (half of it is
//! drawn): 5 s at first, 5 minutes at most. If the outcome that tripped the circuit carried a
//! hint (`Overload { retry_after }`), it lasts at least that long, up to the same maximum. `k`
//! starts again only after a whole window without a trip, so a flapping service is left alone for
//! longer and longer. Failures that arrive while the circuit is open do not extend it.
//!
//! # When to use it
//!
//! Around calls to a dependency that can be down as a whole, where refusing at once is better
//! than waiting for its timeout. One breaker for each dependency, or better for each host: a
//! breaker over ten hosts of which one is dead opens for all ten or for none. It does not help
//! against overload from within; use a bulkhead or an adaptive limit for that.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use buttress::{BoxError, circuit_breaker::{CircuitBreakerLayer, Phase}};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let breaker = CircuitBreakerLayer::builder()
//!     .name("payments")
//!     .consecutive_failures(5)
//!     .open_for(Duration::from_secs(2))
//!     .build();
//! let handle = breaker.handle();
//!
//! let mut payments = ServiceBuilder::new()
//!     .layer(breaker)
//!     .service_fn(async |_amount: u32| Err::<(), BoxError>("connection refused".into()));
//!
//! for _ in 0..5 {
//!     payments.ready().await.unwrap().call(42).await.unwrap_err();
//! }
//! assert_eq!(handle.phase(), Phase::Open);
//!
//! let refusal = payments.ready().await.unwrap().call(42).await.unwrap_err();
//! assert!(refusal.to_string().starts_with("circuit open (payments), retry after "));
//! # }
//! ```
//!
//! # What it counts
//!
//! One outcome for each call that passed, by its [`Class`](crate::Class): `Transient` and
//! `Overload` are failures, `Success` and `Permanent` are successes, `Ignore` is not counted.
//! `Overload` leaves the number of consecutive failures as it is. A call is slow when it took
//! *longer than* the limit; a slow probe is a failed one.
//!
//! A time window of `d` has ten buckets and covers `(d - d/10, d]`. Recording costs the same at
//! any rate. On closing, the window is cleared: what it held says nothing about the service that
//! recovered.
//!
//! An outcome counts only in the state in which its call was admitted. Every transition begins a
//! new generation; a result from an earlier one changes nothing and is reported as `LateResult`.
//!
//! # Readiness
//!
//! An open circuit is ready at once and answers by refusing, even if the inner service is stuck.
//! A refusal decided in `poll_ready` stands until `call`, since the inner service was not made
//! ready; its `retry_after` is taken anew then, and is 0 if the circuit has closed meanwhile. If
//! the circuit opens between `poll_ready` and `call`, the call is refused and the instance keeps
//! the inner service's readiness for its next call. Nothing here asks for `Clone`.
//!
//! With [`Builder::gate`], for balancers, `poll_ready` is `Pending` while the circuit is open.
//!
//! # Cancellation
//!
//! A call that is dropped or panics decides nothing; a probe returns its slot. A probe that hangs
//! for [`Builder::half_open_for`] is taken for a failed one: it cannot wedge the circuit.
//!
//! # Sharing
//!
//! All services made by one layer value, and all their clones, share one circuit; a clone of the
//! layer value does too. [`CircuitBreakerLayer::handle`] reads and steers it.
//!
//! # Events
//!
//! `Admitted` · `Settled` or `LateResult` or `Abandoned` · `Rejected(CircuitOpen)` ·
//! `WouldReject` in shadow mode · `Transitioned { from, to }`.

mod circuit;
#[cfg(all(test, not(any(buttress_loom, buttress_shuttle))))]
mod circuit_tests;
mod config;
mod future;
mod gate;
mod handle;
mod layer;
#[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
mod loom_tests;
#[cfg(any(test, fuzzing, buttress_fuzz))]
pub(crate) mod model;
#[cfg(test)]
mod model_tests;
mod probes;
mod service;
mod shared;
mod state;
mod tally;
mod ticket;
mod wakers;

pub use crate::observe::event::Phase;
pub use crate::window::Window;
pub use config::{Config, SlowCalls};
pub use future::ResponseFuture;
pub use handle::{Handle, Snapshot};
pub use layer::{Builder, CircuitBreakerLayer};
pub use service::CircuitBreaker;
pub use shared::HeldCall;
