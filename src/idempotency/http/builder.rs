//! [`Builder`] of the [`IdempotencyLayer`].

mod outcomes;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, Method};

use crate::config::{self, ConfigError, check};
use crate::idempotency::execution::{Engine, engine_setters};
use crate::idempotency::http::service::Shared;
use crate::idempotency::http::settings::{Required, Settings};
use crate::idempotency::http::{Fingerprinter, IdempotencyLayer, KeyScope};
use crate::idempotency::store::Store;
use crate::idempotency::{Config, KeySyntax, Scope};
use crate::observe::{Identity, identity_setters};

/// A builder that has not been told whose keys they are.
#[derive(Debug)]
pub enum NoScope {}

/// A builder that can build.
#[derive(Debug)]
pub enum Scoped {}

/// Configures an [`IdempotencyLayer`].
#[must_use]
pub struct Builder<St, Sc> {
    store: St,
    identity: Identity,
    config: Config,
    seed: Option<u64>,
    settings: Settings,
    /// The first setting that made no sense by itself.
    mistake: Option<ConfigError>,
    scoped: PhantomData<fn() -> Sc>,
}

impl<St> Builder<St, NoScope> {
    pub(super) fn new(store: St) -> Self {
        Self {
            store,
            identity: Identity::default(),
            config: Config::default(),
            seed: None,
            settings: Settings::default(),
            mistake: None,
            scoped: PhantomData,
        }
    }

    /// Whose key it is: the authenticated principal or tenant of the request, never the raw
    /// `Authorization` value. `None`, or an empty scope, is refused with 403. What the closure
    /// reads has to be there already, so authentication stands further out.
    pub fn scope(
        self,
        find: impl Fn(&Parts) -> Option<Scope> + Send + Sync + 'static,
    ) -> Builder<St, Scoped> {
        self.scoped(|settings| settings.scope = Some(Arc::new(find)))
    }

    /// All clients share one set of keys: whoever knows another's key gets the other's answer. For
    /// services with a single caller.
    pub fn unscoped(self) -> Builder<St, Scoped> {
        self.scoped(|_| {})
    }

    fn scoped(mut self, set: impl FnOnce(&mut Settings)) -> Builder<St, Scoped> {
        set(&mut self.settings);
        Builder {
            store: self.store,
            identity: self.identity,
            config: self.config,
            seed: self.seed,
            settings: self.settings,
            mistake: self.mistake,
            scoped: PhantomData,
        }
    }
}

/// Which requests are protected, and by which key.
impl<St, Sc> Builder<St, Sc> {
    identity_setters!();

    engine_setters!();

    /// Hashes keys and bodies with this secret (HMAC-SHA-256), so that nobody who reads the store
    /// can guess them. All replicas need the same; with another one, all records are new. Default:
    /// none (SHA-256).
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        let secret = secret.as_ref();
        let given = check(!secret.is_empty(), "idempotency.secret", secret.len(), "a byte or more");
        self.settings.secret = Some(secret.into());
        self.judged(given)
    }

    /// The header that has the key. Default: `idempotency-key`.
    pub fn header(mut self, name: impl AsRef<str>) -> Self {
        let name = name.as_ref();
        let Ok(header) = HeaderName::try_from(name) else {
            let error = ConfigError::new("idempotency.header", name, "the name of a header");
            return self.judged(Err(error));
        };
        self.settings.header = header;
        self
    }

    /// The methods whose requests are protected. Default: `POST` and `PATCH`. `PUT` and `DELETE`
    /// may be added; methods without effects may not.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.settings.methods = methods.into_iter().collect();
        let safe = |method: &&Method| method.is_safe() || method.as_str() == "QUERY";
        let found = self.settings.methods.iter().find(safe).cloned();
        let allowed = "methods with effects, such as POST, PATCH, PUT and DELETE";
        match found {
            Some(method) => {
                self.judged(Err(ConfigError::new("idempotency.methods", method, allowed)))
            }
            None => self,
        }
    }

    /// Protects only the requests of these methods of which this is true. Default: all of them.
    pub fn protect_when(
        mut self,
        predicate: impl Fn(&Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.protect = Some(Arc::new(predicate));
        self
    }

    /// Whether a protected request without a key is refused with 400, instead of being let through
    /// unprotected. Default: let through.
    pub fn require_key(mut self, require: bool) -> Self {
        self.settings.required = if require { Required::All } else { Required::None };
        self
    }

    /// Refuses a request without a key where this is true.
    pub fn require_when(
        mut self,
        predicate: impl Fn(&Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.required = Required::When(Arc::new(predicate));
        self
    }

    /// How a key may be written. Default: [`KeySyntax::Lenient`].
    pub fn key_syntax(mut self, syntax: KeySyntax) -> Self {
        self.settings.key.syntax = syntax;
        self
    }

    /// The longest key, in bytes. Default: 255.
    pub fn max_key_len(mut self, bytes: usize) -> Self {
        self.settings.key.max_len = bytes;
        self
    }

    /// The shortest key, in bytes: against keys that collide by chance. Default: 1.
    pub fn min_key_len(mut self, bytes: usize) -> Self {
        self.settings.key.min_len = bytes;
        self
    }

    /// Refuses keys of which this is false, after all else was in order. Default: none.
    pub fn validate_key(
        mut self,
        validator: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.key.validator = Some(Arc::new(validator));
        self
    }

    /// What a key is unique in. Default: [`KeyScope::Operation`].
    pub fn key_scope(mut self, key_scope: KeyScope) -> Self {
        self.settings.key_scope = key_scope;
        self
    }

    /// What two requests with one key have to have in common. Default: [`Fingerprinter::raw`].
    pub fn fingerprint(mut self, fingerprint: Fingerprinter) -> Self {
        self.settings.fingerprint = fingerprint;
        self
    }

    /// The longest request body that is protected, in bytes; a longer one is refused with 413.
    /// Default: 1 MiB.
    pub fn max_request_body(mut self, bytes: usize) -> Self {
        self.settings.max_request_body = bytes;
        self
    }

    /// The unary gRPC methods that are protected, by their full names: `/shop.Orders/Create`. All
    /// other calls of gRPC pass. Default: none.
    pub fn grpc<N: Into<String>>(mut self, methods: impl IntoIterator<Item = N>) -> Self {
        self.settings.grpc = methods.into_iter().map(Into::into).collect();
        let full = |name: &&String| {
            name.strip_prefix('/').and_then(|name| name.split_once('/')).is_none_or(
                |(service, method)| service.is_empty() || method.is_empty() || method.contains('/'),
            )
        };
        match self.settings.grpc.iter().find(full).cloned() {
            Some(name) => {
                let allowed = "a full name: /package.Service/Method";
                self.judged(Err(ConfigError::new("idempotency.grpc", name, allowed)))
            }
            None => self,
        }
    }

    fn judged(mut self, judgement: Result<(), ConfigError>) -> Self {
        self.mistake = self.mistake.or(judgement.err());
        self
    }
}

impl<St: Store> Builder<St, Scoped> {
    /// The layer.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense; see [`try_build`](Self::try_build).
    #[track_caller]
    #[must_use]
    pub fn build(self) -> IdempotencyLayer<St> {
        config::expect(self.try_build())
    }

    /// The layer, for settings that come from a file.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense: a lease shorter than three times the store's timeout,
    /// a retention or `max_execution` shorter than the lease, a 0 where there must be something, a
    /// method without effects, a name that is none, or an empty secret.
    pub fn try_build(self) -> Result<IdempotencyLayer<St>, ConfigError> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        self.config.check()?;
        self.settings.check()?;
        let emitter = self.identity.emitter("idempotency", self.config.name.as_deref());
        let engine = Arc::new(Engine::new(self.store, self.config, emitter, self.seed));
        Ok(IdempotencyLayer::new(Shared { engine, settings: self.settings }))
    }
}

impl<St, Sc> fmt::Debug for Builder<St, Sc> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
