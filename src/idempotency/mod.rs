//! Idempotency keys.
mod claim;
mod dyn_store;
mod identity;
pub(crate) mod memory;
mod state;
#[cfg(test)]
mod state_tests;
mod store;

pub use claim::{Claim, Fence, OwnerId};
pub use dyn_store::DynStore;
pub use identity::{Fingerprint, RecordKey, Scope};
pub use memory::{MemoryStore, MemoryStoreBuilder};
pub use store::{
    Abandon, Begin, BeginRequest, Capabilities, Fenced, LeaseExpiry, RecordState, Snapshot, Store,
    StoreError, StoredOutcome,
};
