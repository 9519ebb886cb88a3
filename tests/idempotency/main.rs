//! Idempotency keys as their users see them: stores on real servers, requests over real sockets.

mod client;
mod contract;
mod http;
mod keys;
mod memory;
mod operation;
mod postgres;
mod redis;
mod store_faults;
mod support;
mod wire;
