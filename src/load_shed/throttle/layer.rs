//! [`ThrottleLayer`] and its builder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::classify::DefaultClassifier;
use crate::config::{self, ConfigError};
use crate::load_shed::throttle::shared::{Control, Shared};
use crate::load_shed::throttle::state::Machine;
use crate::load_shed::{Throttle, ThrottleConfig, ThrottleHandle};
use crate::observe::{Identity, identity_setters};
use crate::rng::Rng;
use crate::sync::anchors::Anchors;
use crate::time;

/// For clients: calls a service less while it asks for less, so that it need not spend what is left
/// of it on refusing. The adaptive throttling of the [Google SRE book], chapter 21.
///
/// A call is refused here, with [`Overloaded`](crate::Reason::Overloaded) and undispatched, with
/// the probability `max(0, (requests - K * accepts) / (requests + 1))`, taken over the last two
/// minutes. `requests` are all calls that came, those refused here among them; `accepts` are all of
/// those but the ones that were refused here, that ended in
/// [`Class::Overload`](crate::Class::Overload), or that timed out. With K = 2, the default,
/// nothing is refused while the service accepts half of what comes; beyond that it gets about
/// twice of what it accepts, so that it sees its recovery at once. A [`floor`] of requests passes
/// in any case.
///
/// ```
/// use buttress::{Class, Error, classify::classify_fn, load_shed::ThrottleLayer};
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let throttle = ThrottleLayer::builder()
///     .name("search")
///     .classify(classify_fn(|outcome: Result<&u16, &Error<std::io::Error>>| match outcome {
///         Ok(429 | 503) => Class::Overload { retry_after: None },
///         Ok(_) => Class::Success,
///         Err(Error::Rejected(_)) => Class::Ignore,
///         Err(Error::Service(_)) => Class::Transient,
///     }))
///     .build();
/// let handle = throttle.handle();
/// let mut search = ServiceBuilder::new()
///     .layer(throttle)
///     .service_fn(async |_query: &str| Ok::<u16, Error<std::io::Error>>(503));
///
/// for _ in 0..100 {
///     let _ = search.ready().await.unwrap().call("buttress").await;
/// }
/// assert!(handle.probability() > 0.9);
/// # }
/// ```
///
/// # What it counts
///
/// A request counts when it comes, and as accepted until it turns out otherwise. A timeout is a
/// [`TimedOut`](crate::Reason::TimedOut) of a layer further in, which so has to stand inside; a
/// timeout that the service itself tells of (HTTP 504) is one if the classifier calls it an
/// overload. All other outcomes are accepts: failures of every other kind, wrong requests,
/// refusals of layers further in, the caller's expired deadline.
///
/// The window has 32 slices: it covers the last `(d - d/32, d]`. An outcome belongs to the time of
/// its request.
///
/// # Readiness
///
/// The inner service's. A call that is refused leaves the instance its readiness for the next call.
///
/// # Cancellation
///
/// A call that is dropped or panics decides nothing: it has been a request, and counts as accepted.
///
/// # Sharing
///
/// All services made by one layer value, and all clones of either, share one count. One throttle
/// for each backend. [`handle`](Self::handle) reads it.
///
/// # Events
///
/// `Admitted` · `Settled` · `Abandoned` · `Rejected(Overloaded)` · `WouldReject` in shadow mode.
///
/// [Google SRE book]: https://sre.google/sre-book/handling-overload/
/// [`floor`]: ThrottleBuilder::floor
pub struct ThrottleLayer<C = DefaultClassifier> {
    shared: Arc<Anchors<Shared<C>>>,
}

impl ThrottleLayer {
    /// K = 2 over 2 min, with a floor of one request per second.
    ///
    /// The classifier where none is named sees no overload in an answer: then timeouts alone count.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// As [`new`](Self::new), with more settings.
    pub fn builder() -> ThrottleBuilder {
        ThrottleBuilder::from(ThrottleConfig::default())
    }

    /// A throttle as a file describes it.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config(config: ThrottleConfig) -> Result<Self, ConfigError> {
        ThrottleBuilder::from(config).try_build()
    }
}

impl Default for ThrottleLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> ThrottleLayer<C> {
    /// Reads the throttle while it is at work.
    #[must_use]
    pub fn handle(&self) -> ThrottleHandle {
        ThrottleHandle::new(self.shared.control.clone())
    }
}

impl<S, C> Layer<S> for ThrottleLayer<C> {
    type Service = Throttle<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Throttle::new(inner, self.shared.clone())
    }
}

impl<C> Clone for ThrottleLayer<C> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<C> fmt::Debug for ThrottleLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleLayer")
            .field("control", &self.shared.control)
            .finish_non_exhaustive()
    }
}

/// Configures a [`ThrottleLayer`].
#[derive(Debug)]
#[must_use]
pub struct ThrottleBuilder<C = DefaultClassifier> {
    identity: Identity,
    config: ThrottleConfig,
    classifier: C,
    seed: Option<u64>,
}

impl From<ThrottleConfig> for ThrottleBuilder {
    fn from(config: ThrottleConfig) -> Self {
        Self { identity: Identity::default(), config, classifier: DefaultClassifier, seed: None }
    }
}

impl<C> ThrottleBuilder<C> {
    identity_setters!();

    /// K, 1 or more: refusing starts where the requests are so many times the accepts. Default: 2,
    /// with which an overloaded service refuses one call for each that it accepts.
    ///
    /// Closer to 1 it is spared more, and its recovery is seen later: with 1.1 it refuses one for
    /// every ten. Take that where refusing costs the service about as much as serving.
    pub fn multiplier(mut self, k: f64) -> Self {
        self.config.multiplier = k;
        self
    }

    /// How long a request counts: 1 s to 24 h. Default: 2 min.
    pub fn window(mut self, window: Duration) -> Self {
        self.config.window = window;
        self
    }

    /// So many requests per second pass in any case, besides those that chance lets pass: without
    /// any accepts the recovery of the service would not be seen for a whole window. Less than 1
    /// is one request in so many seconds; 0 is none. Default: 1.
    ///
    /// A thousand clients send a thousand times as much: give each a fraction.
    pub fn floor(mut self, per_second: f64) -> Self {
        self.config.floor = per_second;
        self
    }

    /// Judges the outcomes. Default: [`DefaultClassifier`], which knows no overload. See
    /// `http::Statuses` and `grpc::Codes` for protocols.
    pub fn classify<N>(self, classifier: N) -> ThrottleBuilder<N> {
        ThrottleBuilder {
            identity: self.identity,
            config: self.config,
            classifier,
            seed: self.seed,
        }
    }

    /// Decide, count and report [`WouldReject`](crate::observe::EventKind::WouldReject), but refuse
    /// nobody: to try a throttle out on live traffic. What would have been refused counts as
    /// refused, whatever comes of it.
    pub fn shadow(mut self) -> Self {
        self.config.shadow = true;
        self
    }

    /// Makes the choice of whom to refuse repeatable. Default: seeded by the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The layer.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense; see [`try_build`](Self::try_build).
    #[must_use]
    #[track_caller]
    pub fn build(self) -> ThrottleLayer<C> {
        config::expect(self.try_build())
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If the multiplier is less than 1, the window not of 1 s to 24 h, or the floor less than 0;
    /// if one of them is no finite number.
    pub fn try_build(self) -> Result<ThrottleLayer<C>, ConfigError> {
        self.config.check()?;
        let ThrottleConfig { multiplier, window, floor, shadow, name } = self.config;
        let emitter = self.identity.emitter("throttle", name.as_deref());
        let machine = Machine::new(multiplier, window, floor, Rng::new(self.seed), time::now());
        let control = Arc::new(Control::new(machine, emitter, shadow));
        let shared = Anchors::new(Shared { control, classifier: self.classifier });
        Ok(ThrottleLayer { shared: Arc::new(shared) })
    }
}
