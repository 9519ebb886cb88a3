//! The HTTP and gRPC adapters, over real sockets wherever a server or a client takes part.
#![cfg(feature = "grpc")]

mod axum_router;
mod body_timeout;
mod deadline_hops;
mod h2_retry;
mod hold_body;
mod http_retry;
mod hyper_client;
mod net;
mod reqwest;
mod tonic_calls;
mod tonic_retry;
mod tonic_server;
