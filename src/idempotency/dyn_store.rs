//! [`AnyStore`] and [`DynStore`]: stores that are chosen at run time.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::idempotency::store::{
    Abandon, Begin, BeginRequest, Capabilities, Fenced, Snapshot, Store, StoreError, StoredOutcome,
};
use crate::idempotency::{Claim, RecordKey};

// Boxed: see `boxed`.
pub(super) type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub(super) fn boxed<'a, T>(future: impl Future<Output = T> + Send + 'a) -> Answer<'a, T> {
    // Boxed: the type of the store is not known. A call to a store takes longer by far.
    Box::pin(future)
}

/// The twin of [`Store`] that is fit for `dyn`: each call boxes its future. Every store is one; an
/// [`AnyStore`] holds one.
pub trait DynStore: Send + Sync + 'static {
    /// [`Store::begin`].
    fn dyn_begin(&self, request: BeginRequest) -> Answer<'_, Result<Begin, StoreError>>;

    /// [`Store::renew`].
    fn dyn_renew<'a>(
        &'a self,
        claim: &'a Claim,
        lease: Duration,
    ) -> Answer<'a, Result<Fenced, StoreError>>;

    /// [`Store::mark_effects`].
    fn dyn_mark_effects<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Result<Fenced, StoreError>>;

    /// [`Store::complete`].
    fn dyn_complete<'a>(
        &'a self,
        claim: &'a Claim,
        outcome: StoredOutcome,
        retention: Duration,
    ) -> Answer<'a, Result<Fenced, StoreError>>;

    /// [`Store::abandon`].
    fn dyn_abandon<'a>(
        &'a self,
        claim: &'a Claim,
        how: Abandon,
    ) -> Answer<'a, Result<Fenced, StoreError>>;

    /// [`Store::inspect`].
    fn dyn_inspect<'a>(
        &'a self,
        key: &'a RecordKey,
    ) -> Answer<'a, Result<Option<Snapshot>, StoreError>>;

    /// [`Store::forget`].
    fn dyn_forget<'a>(&'a self, key: &'a RecordKey) -> Answer<'a, Result<bool, StoreError>>;

    /// [`Store::purge_expired`].
    fn dyn_purge_expired(&self, max: usize) -> Answer<'_, Result<usize, StoreError>>;

    /// [`Store::changed`].
    fn dyn_changed<'a>(&'a self, key: &'a RecordKey) -> Answer<'a, ()>;

    /// [`Store::capabilities`].
    fn dyn_capabilities(&self) -> Capabilities;
}

impl<S: Store> DynStore for S {
    fn dyn_begin(&self, request: BeginRequest) -> Answer<'_, Result<Begin, StoreError>> {
        boxed(self.begin(request))
    }

    fn dyn_renew<'a>(
        &'a self,
        claim: &'a Claim,
        lease: Duration,
    ) -> Answer<'a, Result<Fenced, StoreError>> {
        boxed(self.renew(claim, lease))
    }

    fn dyn_mark_effects<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Result<Fenced, StoreError>> {
        boxed(self.mark_effects(claim))
    }

    fn dyn_complete<'a>(
        &'a self,
        claim: &'a Claim,
        outcome: StoredOutcome,
        retention: Duration,
    ) -> Answer<'a, Result<Fenced, StoreError>> {
        boxed(self.complete(claim, outcome, retention))
    }

    fn dyn_abandon<'a>(
        &'a self,
        claim: &'a Claim,
        how: Abandon,
    ) -> Answer<'a, Result<Fenced, StoreError>> {
        boxed(self.abandon(claim, how))
    }

    fn dyn_inspect<'a>(
        &'a self,
        key: &'a RecordKey,
    ) -> Answer<'a, Result<Option<Snapshot>, StoreError>> {
        boxed(self.inspect(key))
    }

    fn dyn_forget<'a>(&'a self, key: &'a RecordKey) -> Answer<'a, Result<bool, StoreError>> {
        boxed(self.forget(key))
    }

    fn dyn_purge_expired(&self, max: usize) -> Answer<'_, Result<usize, StoreError>> {
        boxed(self.purge_expired(max))
    }

    fn dyn_changed<'a>(&'a self, key: &'a RecordKey) -> Answer<'a, ()> {
        boxed(self.changed(key))
    }

    fn dyn_capabilities(&self) -> Capabilities {
        self.capabilities()
    }
}

/// A store behind a pointer is a store: `$to` says how to get at the one behind it.
macro_rules! forward {
    ([$($generic:ident: $bound:ident)?] $pointer:ty, $begin:ident $renew:ident $mark_effects:ident
     $complete:ident $abandon:ident $inspect:ident $forget:ident $purge_expired:ident
     $changed:ident $capabilities:ident) => {
        impl<$($generic: $bound)?> Store for $pointer {
            async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
                (**self).$begin(request).await
            }

            async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Fenced, StoreError> {
                (**self).$renew(claim, lease).await
            }

            async fn mark_effects(&self, claim: &Claim) -> Result<Fenced, StoreError> {
                (**self).$mark_effects(claim).await
            }

            async fn complete(
                &self,
                claim: &Claim,
                outcome: StoredOutcome,
                retention: Duration,
            ) -> Result<Fenced, StoreError> {
                (**self).$complete(claim, outcome, retention).await
            }

            async fn abandon(&self, claim: &Claim, how: Abandon) -> Result<Fenced, StoreError> {
                (**self).$abandon(claim, how).await
            }

            async fn inspect(&self, key: &RecordKey) -> Result<Option<Snapshot>, StoreError> {
                (**self).$inspect(key).await
            }

            async fn forget(&self, key: &RecordKey) -> Result<bool, StoreError> {
                (**self).$forget(key).await
            }

            async fn purge_expired(&self, max: usize) -> Result<usize, StoreError> {
                (**self).$purge_expired(max).await
            }

            async fn changed(&self, key: &RecordKey) {
                (**self).$changed(key).await;
            }

            fn capabilities(&self) -> Capabilities {
                (**self).$capabilities()
            }
        }
    };
}

forward!([S: Store] Arc<S>, begin renew mark_effects complete abandon inspect forget
    purge_expired changed capabilities);
forward!([] Arc<dyn DynStore>, dyn_begin dyn_renew dyn_mark_effects dyn_complete dyn_abandon
    dyn_inspect dyn_forget dyn_purge_expired dyn_changed dyn_capabilities);
forward!([] AnyStore, dyn_begin dyn_renew dyn_mark_effects dyn_complete dyn_abandon
    dyn_inspect dyn_forget dyn_purge_expired dyn_changed dyn_capabilities);

/// A store that is chosen at run time. Clones share it.
///
/// ```
/// use buttress::idempotency::{AnyStore, IdempotencyLayer, MemoryStore};
///
/// // Or a RedisStore, or a PostgresStore, as the configuration says.
/// fn store(max_entries: Option<usize>) -> AnyStore {
///     match max_entries {
///         None => AnyStore::new(MemoryStore::new()),
///         Some(entries) => AnyStore::new(MemoryStore::builder().max_entries(entries).build()),
///     }
/// }
///
/// let layer = IdempotencyLayer::builder(store(Some(1000))).unscoped().build();
/// # let _ = layer;
/// ```
///
/// An `Arc<dyn DynStore>` is a store too. But futures over one are sometimes not found to be `Send`
/// where they are spawned: "implementation of `Store` is not general enough". Those over this are.
#[derive(Clone)]
pub struct AnyStore(Arc<dyn DynStore>);

impl AnyStore {
    /// This store.
    #[must_use]
    pub fn new(store: impl Store) -> Self {
        Self(Arc::new(store))
    }
}

impl From<Arc<dyn DynStore>> for AnyStore {
    fn from(store: Arc<dyn DynStore>) -> Self {
        Self(store)
    }
}

impl Deref for AnyStore {
    type Target = dyn DynStore;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for AnyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyStore")
    }
}
