//! Idempotency keys.
mod claim;
#[cfg(feature = "http")]
mod client;
mod dyn_store;
mod execution;
#[cfg(feature = "http")]
mod http;
mod identity;
mod key;
pub(crate) mod memory;

mod outcome;
#[cfg(feature = "redis")]
mod redis;
mod state;
#[cfg(test)]
mod state_tests;
mod store;

#[cfg(feature = "axum")]
pub use self::http::ContextMissing;
#[cfg(feature = "http")]
pub use self::http::{
    AlreadyRecorded, Body, Builder, Fingerprinter, HeaderFilter, Idempotency, IdempotencyLayer,
    KeyScope, NoScope, OnUnstorable, OutcomePolicy, Problem, ResponseFuture, Scoped,
};
#[cfg(feature = "redis")]
pub use self::redis::{RedisStore, RedisStoreBuilder};
pub use claim::{Claim, Fence, OwnerId};
#[cfg(feature = "http")]
pub use client::{IdempotencyKey, Key, KeyLayer, RetryAdvice, RetryPolicy, classify};
pub use dyn_store::DynStore;
pub use execution::{
    Concurrent, Config, Context, ContextError, Drained, Handle, OnCancel, OnStoreError,
};
pub use identity::{Fingerprint, RecordKey, Scope};
pub use key::{KeyError, KeySyntax};
pub use memory::{MemoryStore, MemoryStoreBuilder};
pub use outcome::Disposition;
pub use store::{
    Abandon, Begin, BeginRequest, Capabilities, Fenced, LeaseExpiry, RecordState, Snapshot, Store,
    StoreError, StoredOutcome,
};
