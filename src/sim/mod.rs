//! A deterministic simulator for stacks of tower services.

mod check;
mod clients;
mod endpoint;
mod faults;
mod host;
mod interleave;
mod latency;
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
mod world;

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
