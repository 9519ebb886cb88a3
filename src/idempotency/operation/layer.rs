//! [`OperationLayer`] and its builder.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use crate::config::{self, ConfigError, check};
use crate::idempotency::execution::{Engine, engine_setters};
use crate::idempotency::operation::Operations;
use crate::idempotency::operation::service::Shared;
use crate::idempotency::store::Store;
use crate::idempotency::{Config, Handle};
use crate::observe::{Identity, identity_setters};

/// Runs each request with a key once, whatever a request is: `O`, an
/// [`Operation`](super::Operation), says what its key is, and `C`, an
/// [`OutcomeCodec`](super::OutcomeCodec), which outcomes are kept and how.
///
/// For requests over HTTP there is `IdempotencyLayer`, which knows both.
///
/// ```
/// use std::io;
///
/// use bytes::Bytes;
/// use buttress::BoxError;
/// use buttress::idempotency::{
///     Fingerprint, MemoryStore, OpIdentity, OperationLayer, OutcomeCodec, Scope,
/// };
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// struct Order { id: u64, item: &'static str }
///
/// /// Answers are numbers; errors are not kept.
/// struct Numbers;
///
/// impl OutcomeCodec<u64, io::Error> for Numbers {
///     fn encode(&self, outcome: &Result<u64, io::Error>) -> Result<Bytes, BoxError> {
///         let number = outcome.as_ref().map_err(|_| "an error")?;
///         Ok(number.to_be_bytes().to_vec().into())
///     }
///
///     fn decode(&self, bytes: Bytes) -> Result<Result<u64, io::Error>, BoxError> {
///         Ok(Ok(u64::from_be_bytes(bytes[..].try_into()?)))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
/// let once = OperationLayer::new(
///     MemoryStore::new(),
///     |order: &Order| {
///         let (key, asked) = (order.id.to_be_bytes(), Fingerprint::of(order.item));
///         Ok(Some(OpIdentity::new(Scope::new("shop"), "place", key, asked)))
///     },
///     Numbers,
/// );
/// let mut placed = 0;
/// let mut orders = ServiceBuilder::new().layer(once).service_fn(move |_: Order| {
///     placed += 1;
///     async move { Ok::<_, io::Error>(placed) }
/// });
/// for replayed in [false, true] {
///     let number = orders.ready().await?.call(Order { id: 8712, item: "tea" }).await?;
///     assert_eq!((*number, number.replayed()), (1, replayed));
/// }
/// # Ok(()) }
/// ```
///
/// # Readiness
///
/// Always ready. The service inside is made ready, as a clone, by the request that runs: replays
/// and refusals take up none of its capacity. Shed load further out.
///
/// # Cancellation
///
/// A request that is protected runs in a task of its own, to its end and beyond its caller's,
/// unless [`OnCancel::Release`](super::super::OnCancel::Release) says otherwise; so it needs a
/// runtime, and whoever shuts down waits with [`handle`](Self::handle)`().drain(..)`. A caller that
/// has left before its request was sent inside takes it along. A panic of the service releases the
/// key, or leaves the outcome unknown once its effects have begun, and goes on in the caller.
pub struct OperationLayer<O, C, St> {
    shared: Arc<Shared<O, C, St>>,
}

impl<O, C, St: Store> OperationLayer<O, C, St> {
    /// A layer over these records, with the defaults of [`Config`].
    #[must_use]
    pub fn new(store: St, operation: O, codec: C) -> Self {
        Self::builder(store, operation, codec).build()
    }

    /// As [`new`](Self::new), with more settings.
    pub fn builder(store: St, operation: O, codec: C) -> OperationBuilder<O, C, St> {
        let identity = Identity::default();
        let (secret, require_key) = (None, false);
        OperationBuilder {
            store,
            operation,
            codec,
            identity,
            config: Config::default(),
            seed: None,
            secret,
            require_key,
        }
    }

    /// Reads the layer, and waits for what runs in it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.shared.engine.handle()
    }
}

impl<S, O, C, St> Layer<S> for OperationLayer<O, C, St> {
    type Service = Operations<S, O, C, St>;

    fn layer(&self, inner: S) -> Operations<S, O, C, St> {
        Operations::new(inner, self.shared.clone())
    }
}

impl<O, C, St> Clone for OperationLayer<O, C, St> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<O, C, St> fmt::Debug for OperationLayer<O, C, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationLayer").field("engine", &self.shared.engine).finish()
    }
}

/// Configures an [`OperationLayer`].
#[must_use]
pub struct OperationBuilder<O, C, St> {
    store: St,
    operation: O,
    codec: C,
    identity: Identity,
    config: Config,
    seed: Option<u64>,
    secret: Option<Box<[u8]>>,
    require_key: bool,
}

impl<O, C, St> OperationBuilder<O, C, St> {
    identity_setters!();
    engine_setters!();

    /// Hashes keys and fingerprints with this secret (HMAC-SHA-256), so that nobody who reads the
    /// store can guess them. All replicas need the same; with another one, all records are new.
    /// Default: none (SHA-256).
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secret = Some(secret.as_ref().into());
        self
    }

    /// Whether a request without an identity is refused, instead of being let through unprotected.
    /// Default: let through.
    pub fn require_key(mut self, require: bool) -> Self {
        self.require_key = require;
        self
    }
}

impl<O, C, St: Store> OperationBuilder<O, C, St> {
    /// The layer.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense; see [`try_build`](Self::try_build).
    #[must_use]
    #[track_caller]
    pub fn build(self) -> OperationLayer<O, C, St> {
        config::expect(self.try_build())
    }

    /// The layer, for settings that come from a file.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense: a lease shorter than three times the store's timeout,
    /// a retention or `max_execution` shorter than the lease, a 0 where there must be something, or
    /// an empty secret.
    pub fn try_build(self) -> Result<OperationLayer<O, C, St>, ConfigError> {
        self.config.check()?;
        let no_secret = self.secret.as_ref().is_some_and(|secret| secret.is_empty());
        check(!no_secret, "idempotency.secret", 0, "a byte or more")?;
        let emitter = self.identity.emitter("idempotency", self.config.name.as_deref());
        let engine = Arc::new(Engine::new(self.store, self.config, emitter, self.seed));
        let shared = Shared {
            engine,
            operation: self.operation,
            codec: self.codec,
            secret: self.secret,
            require_key: self.require_key,
        };
        Ok(OperationLayer { shared: Arc::new(shared) })
    }
}

impl<O, C, St> fmt::Debug for OperationBuilder<O, C, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationBuilder")
            .field("config", &self.config)
            .field("require_key", &self.require_key)
            .finish_non_exhaustive()
    }
}
