//! Idempotency keys.
mod claim;
mod dyn_store;
mod execution;
mod identity;
mod memory;
mod state;
mod store;

pub use claim::{Claim, Fence, OwnerId};
pub use dyn_store::DynStore;
pub use execution::{
    Concurrent, Config, Context, ContextError, Drained, Handle, OnCancel, OnStoreError,
};
pub use identity::{Fingerprint, RecordKey, Scope};
pub use memory::{MemoryStore, MemoryStoreBuilder};
pub use store::{
    Abandon, Begin, BeginRequest, Capabilities, Fenced, LeaseExpiry, RecordState, Snapshot, Store,
    StoreError, StoredOutcome,
};
