//! [`RetryLayer`] and its builder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::backoff::Backoff;
use crate::budget::Budget;
use crate::config::{self, ConfigError};
use crate::observe::{Identity, identity_setters};
use crate::policy::Classified;
use crate::retry::session::{Delays, MakeDelays};
use crate::retry::state::Shared;
use crate::retry::{Config, Retry};
use crate::rng::Rng;
use crate::sync::Mutex;
use crate::sync::anchors::Anchors;

/// Sends a request again when the first attempt fails. See the [module](super) for what it does.
pub struct RetryLayer<P> {
    shared: Arc<Anchors<Shared<P>>>,
}

impl<P> RetryLayer<P> {
    /// Up to three attempts for the requests that `policy` lets pass, with the default backoff and
    /// a budget of the layer's own.
    #[must_use]
    pub fn new(policy: P) -> Self {
        Self::builder(policy).build()
    }

    /// As [`new`](Self::new), with more settings.
    pub fn builder(policy: P) -> Builder<P> {
        Builder::new(policy, Config::default())
    }

    /// A retry as a file describes it.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config(policy: P, config: Config) -> Result<Self, ConfigError> {
        Builder::new(policy, config).try_build()
    }

    /// The budget, to read it or to share it with another layer that calls the same service.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }
}

impl<S, P> Layer<S> for RetryLayer<P> {
    type Service = Retry<S, P>;

    fn layer(&self, inner: S) -> Retry<S, P> {
        Retry::new(inner, self.shared.clone())
    }
}

impl<P> Clone for RetryLayer<P> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<P> fmt::Debug for RetryLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer").field("shared", &self.shared).finish()
    }
}

/// Configures a [`RetryLayer`].
#[must_use]
pub struct Builder<P> {
    identity: Identity,
    policy: P,
    config: Config,
    budget: Option<Budget>,
    delays: Option<MakeDelays>,
    seed: Option<u64>,
}

impl<P> Builder<P> {
    fn new(policy: P, config: Config) -> Self {
        let identity = Identity::default();
        Self { identity, policy, config, budget: None, delays: None, seed: None }
    }

    identity_setters!();

    /// Attempts at most, **the first call included**: 3 are one call and two retries. Default: 3.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.config.max_attempts = attempts;
        self
    }

    /// How long to wait before a further attempt. Default: from 50 ms to 20 s with full jitter.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = backoff;
        self.delays = None;
        self
    }

    /// Waits as long as the iterator says that `make` makes for each call, in place of a
    /// [`Backoff`]. Where it ends, the attempts end.
    ///
    /// ```
    /// use std::time::Duration;
    /// use buttress::retry::{Idempotent, RetryLayer};
    ///
    /// let layer = RetryLayer::builder(Idempotent)
    ///     .delays(|| [10, 100, 1000].map(Duration::from_millis))
    ///     .max_attempts(4)
    ///     .build();
    /// # let _ = layer;
    /// ```
    pub fn delays<F, I>(mut self, make: F) -> Self
    where
        F: Fn() -> I + Send + Sync + 'static,
        I: IntoIterator<Item = Duration>,
        I::IntoIter: Send + Sync + 'static,
    {
        // Boxed: only a call that has failed asks for it.
        self.delays = Some(Box::new(move || Box::new(make().into_iter())));
        self
    }

    /// The base of the backoff after an outcome of class
    /// [`Overload`](crate::Class::Overload), where that is longer; inside the cap. Default: 1 s.
    pub fn overload_base(mut self, base: Duration) -> Self {
        self.config.overload_base = base;
        self
    }

    /// What an attempt needs at least: none starts with less than this left of its request's
    /// deadline. Default: 1 ms.
    pub fn min_attempt(mut self, time: Duration) -> Self {
        self.config.min_attempt = time;
        self
    }

    /// What further attempts are paid from. A clone of one budget belongs in every layer that calls
    /// the same service. Default: [`Budget::ratio`]`(0.2)`, of the layer's own.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Judges the outcomes, in place of the policy.
    pub fn classify<C>(self, classifier: C) -> Builder<Classified<P, C>> {
        Builder {
            policy: Classified::new(self.policy, classifier),
            identity: self.identity,
            config: self.config,
            budget: self.budget,
            delays: self.delays,
            seed: self.seed,
        }
    }

    /// Makes the jitter repeat, draw for draw. Default: seeded by the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The layer.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense; see [`try_build`](Self::try_build).
    #[track_caller]
    pub fn build(self) -> RetryLayer<P> {
        config::expect(self.try_build())
    }

    /// The layer, for settings that come from a file.
    ///
    /// # Errors
    ///
    /// No attempt at all, a backoff whose base or least delay is above its cap, or a budget that
    /// makes no sense.
    pub fn try_build(self) -> Result<RetryLayer<P>, ConfigError> {
        self.config.check()?;
        let budget = self.budget.unwrap_or_else(|| self.config.budget.clone().into());
        budget.check()?;
        let delays = self.delays.map_or_else(
            || Delays::from_backoff(self.config.backoff, self.config.overload_base),
            Delays::Custom,
        );
        Ok(RetryLayer {
            shared: Arc::new(Anchors::new(Shared {
                policy: self.policy,
                emitter: self.identity.emitter("retry", self.config.name.as_deref()),
                budget,
                max_attempts: self.config.max_attempts,
                delays,
                min_attempt: self.config.min_attempt,
                rng: Mutex::new(Rng::new(self.seed)),
            })),
        })
    }
}

impl<P> fmt::Debug for Builder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}
