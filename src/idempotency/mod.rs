//! Idempotency keys.
mod claim;
mod dyn_store;
mod execution;
#[cfg(feature = "http")]
mod http;
mod identity;
mod key;
mod outcome;
mod state;
mod store;

#[cfg(all(feature = "http", any(test, fuzzing, buttress_fuzz)))]
pub(crate) use self::http::stored_record;

#[cfg(feature = "http")]
pub use self::http::{Fingerprinter, HeaderFilter, OutcomePolicy, Problem};
pub use claim::{Claim, Fence, OwnerId};
pub use dyn_store::DynStore;
pub use execution::{
    Concurrent, Config, Context, ContextError, Drained, Handle, OnCancel, OnStoreError,
};
pub use identity::{Fingerprint, RecordKey, Scope};
pub use key::{KeyError, KeySyntax};
pub use outcome::Disposition;
pub use store::{
    Abandon, Begin, BeginRequest, Capabilities, Fenced, LeaseExpiry, RecordState, Snapshot, Store,
    StoreError, StoredOutcome,
};
