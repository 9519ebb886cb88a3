//! [`HedgeLayer`] and its builder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::budget::Budget;
use crate::config::{self, ConfigError};
use crate::hedge::pace::Pace;
use crate::hedge::shared::Shared;
use crate::hedge::{Config, Delay, Handle, Hedge};
use crate::observe::{Identity, identity_setters};
use crate::policy::Classified;
use crate::sync::anchors::Anchors;

/// Sends a second attempt when the first takes long. See the [module](super) for what it does.
pub struct HedgeLayer<P> {
    shared: Arc<Anchors<Shared<P>>>,
}

impl<P> HedgeLayer<P> {
    /// A second attempt after the 95th percentile of the latencies, for the requests that `policy`
    /// lets pass, with a budget of the layer's own.
    #[must_use]
    pub fn new(policy: P) -> Self {
        Self::builder(policy).build()
    }

    /// As [`new`](Self::new), with more settings.
    pub fn builder(policy: P) -> Builder<P> {
        Builder::new(policy, Config::default())
    }

    /// A hedge as a file describes it.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config(policy: P, config: Config) -> Result<Self, ConfigError> {
        Builder::new(policy, config).try_build()
    }

    /// Reads the delay while it is at work.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.shared.pace.clone())
    }

    /// The budget, to read it or to share it with another layer that calls the same service.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }
}

impl<S, P> Layer<S> for HedgeLayer<P> {
    type Service = Hedge<S, P>;

    fn layer(&self, inner: S) -> Hedge<S, P> {
        Hedge::new(inner, self.shared.clone())
    }
}

impl<P> Clone for HedgeLayer<P> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<P> fmt::Debug for HedgeLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeLayer").field("shared", &self.shared).finish()
    }
}

/// Configures a [`HedgeLayer`].
#[must_use]
pub struct Builder<P> {
    identity: Identity,
    policy: P,
    config: Config,
    budget: Option<Budget>,
}

impl<P> Builder<P> {
    fn new(policy: P, config: Config) -> Self {
        Self { identity: Identity::default(), policy, config, budget: None }
    }

    identity_setters!();

    /// When the second attempt is sent, if the first has not ended by then. Default:
    /// [`Delay::Percentile`]`(0.95)`.
    pub fn delay(mut self, delay: Delay) -> Self {
        self.config.delay = delay;
        self
    }

    /// What the percentile is taken over: 100 ms to 24 h, by default 60 s. It covers from half of
    /// that to all of it, and needs a hundred calls in there. A fixed delay needs none.
    pub fn window(mut self, window: Duration) -> Self {
        self.config.window = window;
        self
    }

    /// What second attempts are paid from. A clone of one budget belongs in every layer that calls
    /// the same service: see [Sharing](super#sharing). Default: [`Budget::ratio`]`(0.2)`, of the
    /// layer's own.
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
        }
    }

    /// The layer.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense; see [`try_build`](Self::try_build).
    #[track_caller]
    pub fn build(self) -> HedgeLayer<P> {
        config::expect(self.try_build())
    }

    /// The layer, for settings that come from a file.
    ///
    /// # Errors
    ///
    /// If the fixed delay is 0, the percentile not between 0 and 1, the window shorter than 100 ms
    /// or longer than 24 h, or if the budget makes no sense.
    pub fn try_build(self) -> Result<HedgeLayer<P>, ConfigError> {
        self.config.check()?;
        let budget = self.budget.unwrap_or_else(|| self.config.budget.into());
        budget.check()?;
        let pace = Pace::new(self.config.delay, self.config.window);
        let emitter = self.identity.emitter("hedge", self.config.name.as_deref());
        let shared = Shared { policy: self.policy, emitter, budget, pace: Arc::new(pace) };
        Ok(HedgeLayer { shared: Arc::new(Anchors::new(shared)) })
    }
}

impl<P> fmt::Debug for Builder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}
