//! Idempotency keys as their users see them: stores on real servers, requests over real sockets.

mod client;
mod contract;
mod http;
mod memory;
mod redis;
mod support;
