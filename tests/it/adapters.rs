//! The HTTP and gRPC adapters, over real sockets wherever a server or a client takes part.
#![cfg(feature = "grpc")]

mod axum_router;
mod body_timeout;
mod deadline_hops;
mod hold_body;
mod hyper_client;
mod net;
mod tonic_calls;
mod tonic_server;
