//! [`CircuitBreakerLayer`] and its builder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::circuit_breaker::circuit::{Circuit, Options};
use crate::circuit_breaker::shared::Shared;
use crate::circuit_breaker::state::Machine;
use crate::circuit_breaker::{CircuitBreaker, Config, Handle, SlowCalls, Window};
use crate::classify::DefaultClassifier;
use crate::config::{self, ConfigError};
use crate::observe::{Identity, identity_setters};
use crate::pinned;
use crate::rng::Rng;
use crate::sync::anchors::Anchors;
use crate::time;

/// Stops calling a service that fails. See the [module](super) for what it does.
///
/// `C` judges the outcomes.
pub struct CircuitBreakerLayer<C = DefaultClassifier> {
    shared: Arc<Anchors<Shared<C>>>,
    circuit: Arc<Circuit>,
}

impl CircuitBreakerLayer {
    /// Opens when half of at least 20 calls in 10 s failed, for 5 s at first.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts from the defaults of [`new`](Self::new). Naming a trip replaces the default one.
    pub fn builder() -> Builder {
        Builder::from(Config::default())
    }

    /// A circuit breaker as a file describes it.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config(config: Config) -> Result<Self, ConfigError> {
        Builder::from(config).try_build()
    }
}

impl Default for CircuitBreakerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> CircuitBreakerLayer<C> {
    /// Reads and steers the circuit while it is at work.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.circuit.clone())
    }
}

impl<S, C> Layer<S> for CircuitBreakerLayer<C> {
    type Service = CircuitBreaker<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreaker::new(inner, self.shared.clone())
    }
}

impl<C> Clone for CircuitBreakerLayer<C> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), circuit: self.circuit.clone() }
    }
}

impl<C> fmt::Debug for CircuitBreakerLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerLayer")
            .field("circuit", &self.circuit)
            .finish_non_exhaustive()
    }
}

/// Configures a [`CircuitBreakerLayer`].
#[derive(Debug)]
#[must_use]
pub struct Builder<C = DefaultClassifier> {
    identity: Identity,
    config: Config,
    classifier: C,
    seed: Option<u64>,
}

impl From<Config> for Builder {
    fn from(config: Config) -> Self {
        Self { identity: Identity::default(), config, classifier: DefaultClassifier, seed: None }
    }
}

impl<C> Builder<C> {
    identity_setters!();

    /// Opens when at least this share of the calls in the window failed: more than 0, at most 1.
    /// Compared exactly, in billionths. Default: 0.5, unless another trip is named.
    pub fn failure_rate(mut self, rate: f64) -> Self {
        self.config.failure_rate = Some(rate);
        self
    }

    /// Opens after so many failures in a row. Default: off.
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.config.consecutive_failures = Some(failures);
        self
    }

    /// Opens when at least a share of `rate` of the calls in the window took longer than
    /// `longer_than`. A probe that takes longer fails. Default: off.
    pub fn slow_calls(mut self, longer_than: Duration, rate: f64) -> Self {
        self.config.slow_calls = Some(SlowCalls::new(longer_than, rate));
        self
    }

    /// What the rates are taken over. Default: [`Window::time`] of 10 s.
    pub fn window(mut self, window: Window) -> Self {
        self.config.window = window;
        self
    }

    /// No rate trips before the window holds so many calls. For a count window smaller than this
    /// its size is the minimum. Default: 20.
    pub fn minimum_calls(mut self, calls: u32) -> Self {
        self.config.minimum_calls = calls;
        self
    }

    /// How long the first opening lasts, before jitter, which takes up to half of it. Doubles with
    /// each further opening in a row. Default: 5 s.
    pub fn open_for(mut self, base: Duration) -> Self {
        self.config.open_for = base;
        self
    }

    /// How long any opening lasts at most, hints included. Default: 5 min.
    pub fn open_for_at_most(mut self, longest: Duration) -> Self {
        self.config.open_for_at_most = Some(longest);
        self
    }

    /// Probes in flight at most while half open. Default: 3.
    pub fn probes(mut self, probes: u32) -> Self {
        self.config.probes = probes;
        self
    }

    /// Successful probes that close the circuit. Default: 3.
    pub fn close_after(mut self, successes: u32) -> Self {
        self.config.close_after = successes;
        self
    }

    /// How long a probe may be out. When one is out for longer, the slots are reclaimed and the
    /// circuit opens again. Default: [`open_for`](Self::open_for).
    pub fn half_open_for(mut self, limit: Duration) -> Self {
        self.config.half_open_for = Some(limit);
        self
    }

    /// After closing, lets a share of the calls pass that grows from 1/8 to all over `duration`,
    /// so that a cold service is not hit by the whole load at once. Default: off.
    pub fn ramp(mut self, duration: Duration) -> Self {
        self.config.ramp = Some(duration);
        self
    }

    /// Judges the outcomes. Default: [`DefaultClassifier`]: every error is a failure, save the
    /// refusals of inner layers. See `http::Statuses` and `grpc::Codes` for protocols.
    pub fn classify<N>(self, classifier: N) -> Builder<N> {
        Builder { identity: self.identity, config: self.config, classifier, seed: self.seed }
    }

    /// For balancers (`tower::balance`, `tower::ready_cache`): `poll_ready` is pending while the
    /// circuit is open, and wakes on time. While it is half open, `poll_ready` reserves a probe's
    /// slot, which is given back if the service is dropped before its call, and goes to others
    /// if there is no call for [`half_open_for`](Self::half_open_for).
    pub fn gate(mut self) -> Self {
        self.config.gate = true;
        self
    }

    /// Decide, count and report [`WouldReject`](crate::observe::EventKind::WouldReject), but
    /// refuse nobody: to try a configuration out on live traffic.
    pub fn shadow(mut self) -> Self {
        self.config.shadow = true;
        self
    }

    /// Makes the jitter and the ramp repeatable. Default: seeded by the operating system.
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
    pub fn build(self) -> CircuitBreakerLayer<C> {
        config::expect(self.try_build())
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If a rate is not more than 0 and at most 1; if a count or a duration is 0; if
    /// `open_for_at_most` is shorter than `open_for`; if there are more than 100,000 probes, or
    /// more than 10,000,000 calls in a count window.
    pub fn try_build(self) -> Result<CircuitBreakerLayer<C>, ConfigError> {
        let settings = self.config.resolve()?;
        let emitter = self.identity.emitter("circuit_breaker", self.config.name.as_deref());
        let options = Options {
            shadow: self.config.shadow,
            gate: self.config.gate,
            timed: settings.slow.is_some() || emitter.is_on(),
            slow: settings.slow.map(|(limit, _)| limit),
            counts: settings.keeps_window(),
        };
        let machine = Machine::new(settings, time::now());
        let circuit = Arc::new(Circuit::new(machine, Rng::new(self.seed), emitter, options));
        pinned::announce(&circuit);
        let shared = Shared { circuit: circuit.clone(), classifier: self.classifier };
        Ok(CircuitBreakerLayer { shared: Arc::new(Anchors::new(shared)), circuit })
    }
}
