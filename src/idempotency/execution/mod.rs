//! One protected request from its claim to its end: what the HTTP layer and the layer for any
//! `Service<Req>` have in common.
//!
//! [`Engine::spawn`] starts a task that its caller may leave; in it, [`Engine::open`] asks the store
//! and answers with a replay, a refusal or an [`Execution`]. Whoever holds that drives the handler
//! with [`Execution::drive`], which renews the lease meanwhile, and ends it in one of three ways:
//! [`Execution::complete`], [`Execution::release`] or [`Execution::give_up`].

mod call;
mod canonical;
mod config;
mod context;
mod engine;
mod handle;
mod heartbeat;
mod held;
mod panics;
mod run;
mod setters;
mod task;
mod waiting;

pub(crate) use call::Called;
pub(crate) use engine::{Engine, Opening, Refusal};
pub(crate) use panics::{Panic, caught};
pub(crate) use run::{Execution, Kept};
pub(crate) use setters::engine_setters;
pub(crate) use task::{Caller, Running};

pub use config::{Concurrent, Config, OnCancel, OnStoreError};
pub use context::{Context, ContextError};
pub use handle::{Drained, Handle};
