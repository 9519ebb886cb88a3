//! [`Keyed`]: the service of [`KeyedLayer`](super::KeyedLayer).

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::error::Rejectable;
use crate::keyed::registry::{InFlight, Registry};
use crate::keyed::site::{Instance, Site};
use crate::keyed::{FindKey, ResponseFuture};
use crate::pinned;
use crate::rejected::Rejected;

/// Sends each request through the instance of its key. `T` is such an instance: what the layers
/// `L`, which `G` makes for keys `K`, make of `S`.
pub struct Keyed<S, T, F, G, K, L> {
    inner: S,
    shared: Arc<Shared<F, G, K, L>>,
    site: Arc<Site<T, K, L>>,
}

/// What all services of one layer value share.
pub(super) struct Shared<F, G, K, L> {
    pub(super) find: F,
    pub(super) make: G,
    // Behind a pointer of its own, so that a handle needs neither closure.
    pub(super) registry: Arc<Registry<K, L>>,
}

impl<S, T, F, G, K, L> Keyed<S, T, F, G, K, L> {
    pub(super) fn new(inner: S, shared: Arc<Shared<F, G, K, L>>) -> Self {
        Self { inner, shared, site: Arc::new(Site::new()) }
    }
}

impl<S, T, F, G, K, L> Keyed<S, T, F, G, K, L>
where
    S: Clone,
    T: Clone,
    L: Layer<S, Service = T>,
{
    /// A clone of the instance for this key, and what keeps the key.
    #[inline]
    pub(super) fn instance<Q>(&self, query: &Q) -> Result<(T, InFlight<K, L>), Rejected>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Hash + Eq + ?Sized,
        G: Fn(&Q) -> L,
    {
        let registry = &self.shared.registry;
        let hash = registry.hash(query);
        // One clock read for each call, if keys can be idle for too long; else none.
        let now = registry.now();
        if registry.sweep_is_due(now) {
            registry.sweep(now, |hash| self.site.forget(hash));
        }
        match self.site.find(hash, query) {
            Some((instance, entry)) if !registry.is_expired(&entry, now) => {
                let in_flight = registry.begin(entry);
                Ok((instance.service(), in_flight))
            }
            _ => self.place(hash, query),
        }
    }

    #[cold]
    fn place<Q>(&self, hash: u64, query: &Q) -> Result<(T, InFlight<K, L>), Rejected>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Eq + ?Sized,
        G: Fn(&Q) -> L,
    {
        let Shared { make, registry, .. } = &*self.shared;
        let placed = registry.place(hash, query, make, |hash| self.site.forget(hash))?;
        let instance = self.site.of(&placed.entry, placed.is_spare).unwrap_or_else(|| {
            let apply = || placed.entry.layer().layer(self.inner.clone());
            let (service, pins) = pinned::listen(apply);
            placed.entry.pin(pins);
            let built = Instance::new(&placed.entry, service);
            self.site.keep(&placed.entry, placed.is_spare, built)
        });
        let in_flight = registry.begin(placed.entry);
        Ok((instance.service(), in_flight))
    }
}

impl<S, T, F, G, K, L, Req> Service<Req> for Keyed<S, T, F, G, K, L>
where
    S: Clone,
    T: Service<Req> + Clone,
    T::Error: Rejectable,
    F: FindKey<Req>,
    F::Query: ToOwned<Owned = K>,
    G: Fn(&F::Query) -> L,
    K: Borrow<F::Query>,
    L: Layer<S, Service = T>,
{
    type Response = T::Response;
    type Error = T::Error;
    type Future = ResponseFuture<T, T::Future, Req, K, L>;

    /// Ready: which instance will be asked is not known yet.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let found = self.instance(&*self.shared.find.find_key(&request));
        match found {
            Ok((instance, in_flight)) => ResponseFuture::waiting(instance, request, in_flight),
            Err(rejected) => ResponseFuture::refused(rejected),
        }
    }
}

impl<S: Clone, T, F, G, K, L> Clone for Keyed<S, T, F, G, K, L> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: self.shared.clone(), site: self.site.clone() }
    }
}

impl<F, G, K, L> fmt::Debug for Shared<F, G, K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registry.fmt(f)
    }
}

impl<S: fmt::Debug, T, F, G, K, L> fmt::Debug for Keyed<S, T, F, G, K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed")
            .field("inner", &self.inner)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}
