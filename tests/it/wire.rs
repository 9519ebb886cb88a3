//! The layers on a network that fails: real hyper on both sides, over the simulated hosts and
//! links of `turmoil`.
//!
//! Nothing here sleeps on the real clock. Every scenario runs for many seeds, each of them twice
//! for an equal history; beside the protected client and server run a naive pair, through the same
//! faults, that must fare visibly worse: else the scenario proves nothing.
//!
//! ```text
//! SIM_SEED=0x1f cargo test --all-features --test it wire::NAME -- --exact     one seed
//! SIM_SEEDS=0..1000 cargo test --all-features --test it wire::                   those
//! ```
//!
//! What turmoil does not model: a lost packet is never sent again, so that a connection that has
//! lost one is stuck for good; and a lost SYN is at once a refused connection. The one real clock
//! left is h2's, which remembers for a second which streams it has reset; a run takes 30 ms.

mod clients;
mod history;
mod net;
mod play;
mod servers;

mod deadlines;
mod delays;
mod hedges;
mod lost_replies;
mod outages;
mod partitions;
