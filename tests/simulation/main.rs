//! The scenarios: claims about stacks, each over many seeds. See `guide::testing` for how to run
//! more of them, and how a failure is replayed.

// Counts become shares.
#![allow(clippy::cast_precision_loss)]

mod adaptive;
mod amplification;
mod bulkheads;
mod check;
mod crowd;
mod figures;
mod flapping;
mod foreign;
mod half_open;
mod idempotency;
mod idle;
mod isolation;
mod limits;
mod load;
mod metastable;
mod models;
mod priorities;
mod random_plans;
mod random_stacks;
mod retries;
mod same_hash;
mod stacks;
mod stale;
mod steering;
mod tools;
mod trips;
