//! [`KeyedLayer`] and its builder.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::config::{self, ConfigError};
use crate::keyed::registry::{Keep, Registry, Settings};
use crate::keyed::service::Shared;
use crate::keyed::{ByRef, ByValue, Config, Handle, Keyed, Overflow};
use crate::observe::{Identity, identity_setters};

/// Gives each key an instance of a layer. See the [module](super) for what it does.
///
/// `F` finds the key `K` of a request, and `G` makes the layer `L` of a key.
pub struct KeyedLayer<F, G, K, L> {
    shared: Arc<Shared<F, G, K, L>>,
}

impl<F, G, K, L> KeyedLayer<ByValue<F, K>, G, K, L>
where
    K: Hash + Eq + Clone,
    G: Fn(&K) -> L,
{
    /// For 10,000 keys: `find` makes the key of a request, `make` the layer of a key.
    #[must_use]
    pub fn new<Req>(find: F, make: G) -> Self
    where
        F: Fn(&Req) -> K,
    {
        Self::builder(find, make).build()
    }

    /// As [`new`](Self::new), with more settings.
    pub fn builder<Req>(find: F, make: G) -> Builder<ByValue<F, K>, G, K, L>
    where
        F: Fn(&Req) -> K,
    {
        Builder::new(ByValue::new(find), make, Config::default())
    }

    /// Keys as a file describes them.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config<Req>(find: F, make: G, config: Config) -> Result<Self, ConfigError>
    where
        F: Fn(&Req) -> K,
    {
        Builder::new(ByValue::new(find), make, config).try_build()
    }
}

impl<F, G, Q, L> KeyedLayer<ByRef<F, Q>, G, Q::Owned, L>
where
    Q: ToOwned + Hash + Eq + ?Sized,
    G: Fn(&Q) -> L,
{
    /// As [`new`](Self::new), for keys that stand in the request: `find` points the key out, and
    /// only a new one is copied.
    ///
    /// ```
    /// use buttress::{bulkhead::BulkheadLayer, keyed::KeyedLayer};
    ///
    /// struct Request { tenant: String }
    ///
    /// let layer = KeyedLayer::by_ref(
    ///     |request: &Request| request.tenant.as_str(),
    ///     |_tenant: &str| BulkheadLayer::new(20),
    /// );
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn by_ref<Req>(find: F, make: G) -> Self
    where
        F: Fn(&Req) -> &Q,
    {
        Self::builder_by_ref(find, make).build()
    }

    /// As [`by_ref`](Self::by_ref), with more settings.
    pub fn builder_by_ref<Req>(find: F, make: G) -> Builder<ByRef<F, Q>, G, Q::Owned, L>
    where
        F: Fn(&Req) -> &Q,
    {
        Builder::new(ByRef::new(find), make, Config::default())
    }

    /// As [`from_config`](Self::from_config), for keys that stand in the request.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config_by_ref<Req>(find: F, make: G, config: Config) -> Result<Self, ConfigError>
    where
        F: Fn(&Req) -> &Q,
    {
        Builder::new(ByRef::new(find), make, config).try_build()
    }
}

impl<F, G, K, L> KeyedLayer<F, G, K, L> {
    /// Lists, finds and removes keys while they are at work.
    #[must_use]
    pub fn handle(&self) -> Handle<K, L> {
        Handle::new(self.shared.registry.clone())
    }
}

impl<S, F, G, K, L: Layer<S>> Layer<S> for KeyedLayer<F, G, K, L> {
    type Service = Keyed<S, L::Service, F, G, K, L>;

    fn layer(&self, inner: S) -> Self::Service {
        Keyed::new(inner, self.shared.clone())
    }
}

impl<F, G, K, L> Clone for KeyedLayer<F, G, K, L> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<F, G, K, L> fmt::Debug for KeyedLayer<F, G, K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLayer").field("shared", &self.shared).finish()
    }
}

/// Configures a [`KeyedLayer`].
#[must_use]
pub struct Builder<F, G, K, L> {
    identity: Identity,
    config: Config,
    find: F,
    make: G,
    keep: Option<Keep<L>>,
    key: PhantomData<fn() -> K>,
}

impl<F, G, K, L> Builder<F, G, K, L> {
    fn new(find: F, make: G, config: Config) -> Self {
        let identity = Identity::default();
        Self { identity, config, find, make, keep: None, key: PhantomData }
    }

    identity_setters!();

    /// Keys at most that have an instance of their own. A new key beyond that takes the place of
    /// one that is idle; see [`overflow`](Self::overflow) for where there is none. Default: 10,000.
    pub fn capacity(mut self, keys: usize) -> Self {
        self.config.capacity = keys;
        self
    }

    /// Forgets a key that has had no call in flight for so long, unless it is pinned. Costs two
    /// clock reads for each call. Default: a key is forgotten only when its place is needed.
    pub fn idle(mut self, limit: Duration) -> Self {
        self.config.idle = Some(limit);
        self
    }

    /// What becomes of a key that finds no place. Default: [`Overflow::Share`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.config.overflow = overflow;
        self
    }

    /// Keeps a key while this is true of its layer, beside what is [pinned](super::Pinned) anyway.
    /// Asked under no lock, when the key is about to be forgotten.
    pub fn keep_while(mut self, keep: impl Fn(&L) -> bool + Send + Sync + 'static) -> Self {
        self.keep = Some(Box::new(keep));
        self
    }

    /// Report what [`Overflow::Refuse`] would refuse, as
    /// [`WouldReject`](crate::observe::EventKind::WouldReject), and share instead: to try a
    /// capacity out on live traffic.
    pub fn shadow(mut self) -> Self {
        self.config.shadow = true;
        self
    }

    /// The layer.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense; see [`try_build`](Self::try_build).
    #[track_caller]
    pub fn build(self) -> KeyedLayer<F, G, K, L> {
        config::expect(self.try_build())
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If the capacity is 0 or more than 16,777,216, or the idle time is 0.
    pub fn try_build(self) -> Result<KeyedLayer<F, G, K, L>, ConfigError> {
        self.config.check()?;
        let emitter = self.identity.emitter("keyed", self.config.name.as_deref());
        let Config { capacity, idle, overflow, shadow, .. } = self.config;
        let settings = Settings { capacity, idle, keep: self.keep, overflow, shadow, emitter };
        let registry = Arc::new(Registry::new(settings));
        let shared = Shared { find: self.find, make: self.make, registry };
        Ok(KeyedLayer { shared: Arc::new(shared) })
    }
}

impl<F, G, K, L> fmt::Debug for Builder<F, G, K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("identity", &self.identity)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
