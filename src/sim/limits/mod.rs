//! Limits on trial: what an [`Algorithm`](crate::adaptive_limit::Algorithm) makes of a workload,
//! beside the best that a static limit can do.
//!
//! # What it is
//!
//! A [`Workload`] says, as data, what the server is, who asks it for how much, from how far away,
//! and what goes wrong when. [`Workload::run`] takes it through time with an algorithm before each
//! caller, and gives a [`Trial`]: answers in time, latencies, the limit over time, fairness.
//! [`Workload::best_static`] tries static limits and knows the best, the [`Oracle`]: it was told
//! the right number, for the workload as a whole, and does what can be done with one number.
//!
//! # When to use it
//!
//! To write an algorithm of your own, to compare those there are on a model of your service, and to
//! know what an adaptive limit costs you where a [`Static`] one would be right. It takes one layer
//! through some million calls a second. For a stack of layers, retries, several servers, use
//! [`Sim`](crate::sim::Sim), which runs the layers themselves.
//!
//! # Example
//!
//! An algorithm of one's own, with a target for the latency, beside the default and the oracle.
//!
//! ```
//! use std::time::Duration;
//! use buttress::adaptive_limit::{Algorithm, Cohort, Ended, Outcome};
//! use buttress::sim::limits::{Static, Workload};
//! use buttress::sim::{Faults, Latency, Server};
//!
//! /// One more for each full round of answers below the target, a twentieth less for each above.
//! #[derive(Debug)]
//! struct Target { limit: f64, latency: Duration }
//!
//! impl Algorithm for Target {
//!     fn limit(&self) -> f64 {
//!         self.limit
//!     }
//!
//!     fn ended(&mut self, call: &Ended) {
//!         if call.outcome != Outcome::Unknown && call.latency > self.latency {
//!             self.limit = (self.limit - 0.05).max(1.0);
//!         } else if call.pressed {
//!             self.limit += 1.0 / self.limit;
//!         }
//!     }
//! }
//!
//! let (ms, secs) = (Duration::from_millis, Duration::from_secs);
//! // Twice what it can do; and for ten seconds it takes three times as long.
//! let workload = Workload::new(Server::workers(16, Latency::exponential(ms(20))), 2.0)
//!     .network(ms(2))
//!     .run_for(secs(30))
//!     .faults(Faults::new().slow(Workload::SERVER, 3.0, secs(10), secs(10)));
//!
//! let best = workload.best_static(1);
//! let share = |trial: buttress::sim::limits::Trial| trial.goodput() / best.goodput();
//! let own = share(workload.run(1, |_| Box::new(Target { limit: 4.0, latency: ms(40) })));
//! let cohort = share(workload.run(1, |_| Box::new(Cohort::new())));
//! let configured = share(workload.run(1, |_| Box::new(Static::new(8))));
//! assert!(cohort > 0.95 && cohort > own && cohort > configured);
//! ```
//!
//! # The models
//!
//! | model | is |
//! | --- | --- |
//! | [`Server`](crate::sim::Server) | as in a [`Sim`](crate::sim::Sim), the same machine: workers and the line before them, or the universal scalability law |
//! | [`Faults`](crate::sim::Faults) | the same, of the one server, [`Workload::SERVER`]. Replies that get lost and servers that say nothing end in a timeout |
//! | [`Caller`] | one process with a limit before its calls, some way off. Half of the round trip is the way there; it counts in the latency that the algorithm sees |
//! | [`Demand`] | open (Poisson, in steps), clients that wait in front, users that come back |
//! | the limit | what the layer does without a queue: refuse beyond the limit; the algorithm sees the same calls, marks, skips and `pressed` as in the layer |
//!
//! A call that is answered is [`Answered`](crate::adaptive_limit::Outcome::Answered); one without
//! an answer by the deadline is `TimedOut`, then and not later; what the server refuses because
//! its line is full is `Overloaded`; all other failures are `Unknown`.
//!
//! Times are in nanoseconds, not in the milliseconds of tokio's timers: a call may take two
//! milliseconds, or two microseconds.
//!
//! # What is not modelled
//!
//! - **The layer's own queue**, priorities, shadow mode, bounds other than the default ones: try
//!   those in a [`Sim`](crate::sim::Sim).
//! - **Retries** of those who were refused, but for [`Demand::Returning`].
//! - **Jitter, loss and bandwidth** of the network: a round trip takes what it says.
//! - **The processor and threads**: to decide takes no time, and one decides at a time.
//! - **Several servers**, balancers, and callers that share one limit.
//! - **The oracle is static**: where capacity or load change, a limit that adapts can do better.
//!
//! # Determinism
//!
//! The same workload, seed and algorithm give the same run, on every machine that has the same
//! floating-point functions. An algorithm that draws by chance needs a seed of its own.

mod event;
mod gate;
#[cfg(test)]
mod layer_tests;
mod oracle;
mod run;
#[cfg(test)]
mod theory_tests;
mod trial;
mod validate;
mod workload;
mod written;

pub use oracle::{Oracle, Static};
pub use trial::{Ends, Trial};
pub use validate::WorkloadError;
pub use workload::{Caller, Demand, Workload};
