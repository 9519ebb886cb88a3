//! The retry policies for HTTP and gRPC: who may be sent again, when, and with what.
#![cfg(feature = "grpc")]

mod errors;
mod grpc_calls;
mod grpc_messages;
mod hedged;
mod http_requests;
mod layer;
