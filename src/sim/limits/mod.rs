//! Limits on trial: what an [`Algorithm`](crate::adaptive_limit::Algorithm) makes of a workload,
//! beside the best that a static limit can do.

mod gate;
mod oracle;
mod run;
mod trial;
mod workload;

pub use oracle::Oracle;
pub use trial::Trial;
pub use workload::{Caller, Demand, Workload};
