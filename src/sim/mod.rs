//! A deterministic simulator: what a stack of layers does for a system in trouble, by seed.
//!
//! # What it is
//!
//! A [`Plan`] says, as data, which servers there are, who sends them how much, and what goes wrong
//! when. A [`Sim`] runs it, with the stack under test between clients and servers: any
//! [`Service`](tower_service::Service), of this crate, of tower, or your own. A [`Report`] says
//! what came of it: as text, as JSON, and as a plot over time.
//!
//! Time is tokio's paused clock, which jumps to the next timer: a minute of simulated traffic takes
//! a few hundredths of a second. Everything that is left to chance follows from the seed, so that a
//! run that failed can be had again, event by event.
//!
//! # When to use it
//!
//! For what unit tests cannot show and production should not: whether the system comes back when
//! the trouble is over, what retries do to a server that is down, what a change of a limit, a
//! timeout or a budget makes of a storm. And for invariants, since a run tries more orders of
//! events than anybody writes down.
//!
//! Add the feature to your dev-dependencies alone: it brings the `test-util` of tokio.
//!
//! ```toml
//! [dev-dependencies]
//! buttress = { version = "0.1", features = ["sim"] }
//! ```
//!
//! # Example
//!
//! A database takes ten times as long for ten seconds. Its clients try each request up to four
//! times. Without more, that keeps it down for good; a [budget](crate::retry::Budget) and bulkheads
//! on both sides bring it back.
//!
//! ```
//! use std::time::Duration;
//! use buttress::{LiftLayer, bulkhead::BulkheadLayer, retry::RetryLayer, timeout::TimeoutLayer};
//! use buttress::sim::{Clients, Faults, Latency, Plan, RetryPolicy, Server, Sim};
//! use tower::ServiceBuilder;
//!
//! let (ms, seconds) = (Duration::from_millis, Duration::from_secs);
//! let plan = |clients: Clients| {
//!     Plan::new(seconds(40))
//!         .server("db", Server::workers(10, Latency::exponential(ms(50))))
//!         .clients("shop", clients)
//!         .faults(Faults::new().slow("db", 10.0, seconds(10), seconds(10)))
//! };
//!
//! // Clients with a timeout and three retries of their own, and no stack.
//! let naive = plan(Clients::open(150.0).timeout(ms(250)).attempts(4));
//! let report = Sim::new(1).run(&naive, |world| {
//!     let db = world.server("db");
//!     world.clients("shop", db);
//! });
//! assert_eq!(report.recovered_after(), None, "{report}");
//! assert!(report.amplification("db") > 3.0);
//!
//! let protected = plan(Clients::open(150.0));
//! let report = Sim::new(1).run(&protected, |world| {
//!     let db = world.server_behind("db", |workers| {
//!         ServiceBuilder::new().layer(BulkheadLayer::new(20)).layer(LiftLayer).service(workers)
//!     });
//!     let retry = RetryLayer::builder(RetryPolicy)
//!         .max_attempts(4)
//!         .seed(world.seed("retry"))
//!         .observe(world.observer())
//!         .build();
//!     let bulkhead = BulkheadLayer::new(40);
//!     let handle = bulkhead.handle();
//!     world.idle("in flight", move || handle.in_flight());
//!     let stack = ServiceBuilder::new()
//!         .layer(retry)
//!         .layer(bulkhead)
//!         .layer(TimeoutLayer::new(ms(250)))
//!         .layer(LiftLayer)
//!         .service(db);
//!     world.clients("shop", stack);
//! });
//! report.sound().unwrap();
//! assert!(report.recovered_after().is_some_and(|after| after <= seconds(5)), "{report}");
//! assert!(report.amplification("db") < 1.3);
//! ```
//!
//! # The models
//!
//! | model | is |
//! | --- | --- |
//! | [`Server`] | workers, how long they take ([`Latency`]), and the line before them; or contention as in the universal scalability law |
//! | [`Clients`] | open (Poisson arrivals), closed (ask, wait, think), in bursts, with spikes; timeouts and retries of their own |
//! | [`Faults`] | slow, crashed, silent, failing, cut off, losing replies or workers, paused |
//! | [`Request`] | carries a [`Deadline`](crate::timeout::Deadline), the attempt, headers, and a key of some; a stack for another type of request goes behind a `map_request` |
//! | [`Failure`] | what a server answers instead; [`Failures`] classifies it, [`RetryPolicy`] retries it |
//!
//! By default a server finishes what it began even if the caller has gone
//! ([`Cancellation::Ignored`]). Most do, and it is what makes overload last.
//!
//! [`World::server_behind`] puts a stack before the workers, on the server's side of the wire. It
//! may call other servers: that is a call chain.
//!
//! # What is checked
//!
//! [`Report::sound`] is `Err` if a request did not end exactly once, if the stack panicked, if
//! something that was to be [`idle`](World::idle) at the end was not, or if an invariant,
//! [`always`](World::always), was broken: it is asked after every event, and the first breach ends
//! the run. What must happen [`sometimes`](World::sometimes) is counted: a storm that opened no
//! circuit proves nothing about circuits. [`Check`] tries a claim with many seeds.
//!
//! # What is not modelled
//!
//! - **The wire** takes no time, and keeps order. Put latency into the server's, or a stack with a
//!   sleep before it. It has no bandwidth and no connections: no handshakes, no pools, no
//!   head-of-line blocking. For those, test over sockets.
//! - **Ticks of a millisecond.** The timers of tokio round up to one, so answers come up to one
//!   late. Let services take several. Capacity does not suffer: the next in line begins when the
//!   worker was free, not at the tick.
//! - **The processor.** The code of the stack takes no simulated time. What a lock or an allocation
//!   costs is for benchmarks.
//! - **Threads.** A run has one. Orders of tasks vary by seed, and calls can be made to overtake
//!   each other ([`World::interleave`]), but races of memory are for loom and the like.
//!
//! # Determinism
//!
//! The same plan, stack and seed give the same [`trace_hash`](Report::trace_hash), on every machine
//! that has the same floating-point functions. That ends where the stack asks something else for
//! time or chance:
//!
//! - A layer that draws by chance needs a seed, `.seed(world.seed("retry"))`, or it takes one of
//!   the system: retries (jitter), circuit breakers (jitter of the open time).
//! - Layers are built inside of the closure of [`Sim::run`], since they note the time when they are
//!   built; and anew for each run, since they remember.
//! - No iteration over a `HashMap`, whose order is random; no `select!` without `biased;`; no
//!   generators of the thread.
//! - No `std::time::Instant` and no `SystemTime`: they do not jump. No `spawn_blocking` and no
//!   threads: they take real time, which the paused clock does not wait for.
//! - A `watch` channel with several receivers wakes them in no order that can be relied upon.
//!
//! [`Check`] runs seeds twice and compares the hashes.

mod chain;
mod check;
mod clients;
mod endpoint;
mod faults;
mod host;
mod interleave;
mod latency;
pub mod limits;
mod load;
#[cfg(test)]
mod model_tests;
mod plan;
mod record;
mod report;
mod request;
mod run;
mod seeds;
mod server;
mod shrink;
mod station;
pub mod store_contract;
mod world;

pub use chain::{Chained, Then};
pub use check::{Check, Counterexample, Summary, ensure};
pub use clients::{Arrivals, Clients, Spike};
pub use endpoint::{Endpoint, Exchange};
pub use faults::{Fault, FaultKind, Faults};
pub use host::{Work, Workers};
pub use interleave::{Hesitant, Interleave, InterleaveLayer};
pub use latency::Latency;
pub use plan::{Plan, PlanError};
pub use record::Observer;
pub use report::{
    ClientMoment, ClientReport, Incident, LayerReport, Report, ServerMoment, ServerReport, Trigger,
    Violation,
};
pub use request::{Failure, Failures, FindFailure, Request, Response, RetryPolicy};
pub use run::Sim;
pub use seeds::seeds;
pub use server::{Cancellation, QueueDiscipline, Server};
pub use shrink::{PlanTree, Shrinkable};
pub use world::{Sometimes, World};
