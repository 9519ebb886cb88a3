//! The scenarios: claims about stacks, each over many seeds. See `guide::testing` for how to run
//! more of them, and how a failure is replayed.

// Counts become shares.
#![allow(clippy::cast_precision_loss)]

mod amplification;
mod figures;
mod isolation;
mod load;
mod bulkheads;
mod check;
mod flapping;
mod half_open;
mod idle;
mod metastable;
mod models;
mod retries;
mod random_stacks;
mod same_hash;
mod stacks;
mod stale;
mod steering;
mod tools;
mod trips;
