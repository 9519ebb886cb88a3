//! Idempotency under real trouble: many instances over one store, processes that die or stop,
//! stores that fail. Clocks, sockets, servers and processes are real.
//!
//! ```text
//! place.rs     which store, and how an instance reaches it
//! app.rs       an instance: a server of axum with the layer, and a handler that notes its effects
//! ledger.rs    where effects are noted, outside of what is tormented
//! caller.rs    a client that repeats its request until it has a final answer
//! watched.rs   a store that tells what it was asked, or aborts the process at a point of it
//! child.rs     an instance in a process of its own
//! ```

mod app;
mod caller;
mod child;
mod crashes;
mod faults;
mod ledger;
mod place;
mod races;
mod restarts;
mod transaction;
mod trips;
mod trouble;
mod watched;
mod zombies;
