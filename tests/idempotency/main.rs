//! Idempotency keys as their users see them: stores on real servers, requests over real sockets.

// A subtraction that underflows fails the test that made it.
#![allow(clippy::unchecked_time_subtraction)]

mod chaos;
mod client;
mod config;
mod contract;
mod cost;
mod http;
mod keys;
mod memory;
mod operation;
mod postgres;
mod redis;
mod store_faults;
mod support;
mod wire;
