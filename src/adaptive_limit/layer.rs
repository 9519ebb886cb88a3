//! [`AdaptiveLimitLayer`] and its builder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::adaptive_limit::classes::ClassShares;
use crate::adaptive_limit::limit::{Core, Shared};
use crate::adaptive_limit::state::Machine;
use crate::adaptive_limit::{AdaptiveLimit, Algorithm, Cohort, Config, Handle};
use crate::admission::{Front, Limiter, Queue, QueueLimit, QueueOrder, Refuse, Shares, Slots};
use crate::classify::DefaultClassifier;
use crate::config::{self, ConfigError};
use crate::deadline::NoDeadline;
use crate::observe::{Identity, identity_setters};
use crate::pinned;
use crate::priority::{NoPriority, PriorityClass};
use crate::rejected::Reason;
use crate::time;

/// Limits the calls in flight to what the service can carry. See the [module](super) for what it
/// does.
///
/// `A` finds the limit, and `C` judges the outcomes for it; `M` is what happens beyond the limit,
/// [`Refuse`] or [`Queue`]; `P` says how much a request matters.
pub struct AdaptiveLimitLayer<A = Cohort, C = DefaultClassifier, M = Refuse, P = NoPriority> {
    front: Arc<Front<Shared<A, C>, P>>,
    core: Arc<Core>,
    mode: M,
}

impl AdaptiveLimitLayer {
    /// Finds the limit by itself, from 1 to 10,000; beyond it, calls are refused.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// As [`new`](Self::new), with more settings.
    pub fn builder() -> Builder {
        Builder::with_mode(Config::default(), Refuse)
    }
}

impl AdaptiveLimitLayer<Cohort, DefaultClassifier, Queue> {
    /// An adaptive limit as a file describes it. It is in queue mode, since whether there is a
    /// queue is known only when the file has been read; a queue of `0` refuses at once.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config(config: Config) -> Result<Self, ConfigError> {
        Builder::from(config).try_build()
    }
}

impl Default for AdaptiveLimitLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<A, C, M, P> AdaptiveLimitLayer<A, C, M, P> {
    /// Reads the limit while it is at work.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.core.clone())
    }
}

impl<S, A, C, M: Clone, P> Layer<S> for AdaptiveLimitLayer<A, C, M, P> {
    type Service = AdaptiveLimit<S, A, C, M, P>;

    fn layer(&self, inner: S) -> Self::Service {
        AdaptiveLimit::new(inner, self.front.clone(), self.mode.clone())
    }
}

impl<A, C, M: Clone, P> Clone for AdaptiveLimitLayer<A, C, M, P> {
    fn clone(&self) -> Self {
        Self { front: self.front.clone(), core: self.core.clone(), mode: self.mode.clone() }
    }
}

impl<A, C, M, P> fmt::Debug for AdaptiveLimitLayer<A, C, M, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveLimitLayer").field("core", &self.core).finish_non_exhaustive()
    }
}

/// Configures an [`AdaptiveLimitLayer`].
#[derive(Debug)]
#[must_use]
pub struct Builder<A = Cohort, C = DefaultClassifier, M = Refuse, P = NoPriority> {
    identity: Identity,
    config: Config,
    algorithm: A,
    classifier: C,
    mode: M,
    priority: P,
    shares: Option<ClassShares>,
}

impl<M> Builder<Cohort, DefaultClassifier, M> {
    fn with_mode(config: Config, mode: M) -> Self {
        Self {
            identity: Identity::default(),
            config,
            algorithm: Cohort::default(),
            classifier: DefaultClassifier,
            mode,
            priority: NoPriority,
            shares: None,
        }
    }
}

impl From<Config> for Builder<Cohort, DefaultClassifier, Queue> {
    /// In queue mode: whether there is a queue is known only at run time.
    fn from(config: Config) -> Self {
        Self::with_mode(config, Queue::until(NoDeadline))
    }
}

impl<A, C, P> Builder<A, C, Refuse, P> {
    /// Lets up to `len` calls wait instead of refusing them. Asks for an inner service that is
    /// `Clone`: see [Readiness](super#readiness).
    pub fn queue(mut self, len: usize) -> Builder<A, C, Queue, P> {
        self.config.queue = len;
        self.mode(Queue::until(NoDeadline))
    }
}

impl<A, C, D, P> Builder<A, C, Queue<D>, P> {
    /// The longest wait in the queue. Default: none, the queue's length alone is the bound.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.config.max_wait = Some(wait);
        self
    }

    /// Who in the queue is served first. Default: [`QueueOrder::Fifo`].
    pub fn order(mut self, order: QueueOrder) -> Self {
        self.config.order = order;
        self
    }

    /// Ends a wait at the request's deadline: [`FromRequest`](crate::timeout::FromRequest), or a
    /// closure `|request: &Req| -> Option<Deadline>`. Default: requests have none.
    pub fn deadline<N>(self, deadline: N) -> Builder<A, C, Queue<N>, P> {
        self.mode(Queue::until(deadline))
    }
}

impl<A, C, M, P> Builder<A, C, M, P> {
    identity_setters!();

    /// Finds the limit. Default: [`Cohort`].
    pub fn algorithm<N: Algorithm>(self, algorithm: N) -> Builder<N, C, M, P> {
        let Self { identity, config, classifier, mode, priority, shares, .. } = self;
        Builder { identity, config, algorithm, classifier, mode, priority, shares }
    }

    /// Judges the outcomes. Default: [`DefaultClassifier`]: answers are samples, and so are
    /// timeouts that fired below; other errors are none. See `http::Statuses` and `grpc::Codes`
    /// for protocols.
    pub fn classify<N>(self, classifier: N) -> Builder<A, N, M, P> {
        let Self { identity, config, algorithm, mode, priority, shares, .. } = self;
        Builder { identity, config, algorithm, classifier, mode, priority, shares }
    }

    fn mode<N>(self, mode: N) -> Builder<A, C, N, P> {
        let Self { identity, config, algorithm, classifier, priority, shares, .. } = self;
        Builder { identity, config, algorithm, classifier, mode, priority, shares }
    }

    /// The least limit. Default: 1, since a limit that lets nothing through learns nothing.
    pub fn min(mut self, limit: usize) -> Self {
        self.config.min = limit;
        self
    }

    /// The largest limit. Default: 10,000: it is there for what no latency shows in time, such as
    /// memory.
    pub fn max(mut self, limit: usize) -> Self {
        self.config.max = limit;
        self
    }

    /// The limit to begin with. Default: the algorithm's choice.
    pub fn initial(mut self, limit: usize) -> Self {
        self.config.initial = Some(limit);
        self
    }

    /// Keeps a part of the limit free for those who matter more.
    ///
    /// `find` gives the priority of a request: [`FromRequest`](crate::timeout::FromRequest), or a
    /// closure `|request: &Req| -> Option<Priority>`; one without is of
    /// [`PriorityClass::Default`]. A call is let in while fewer than
    /// `max(1, ceil(limit * share))` are in flight, of whatever class. The shares that are not
    /// named are 1 for `Critical`, 0.9 for `Default`, 0.7 for `Batch`, 0.5 for `Background` and 0.3
    /// for `Sheddable`.
    ///
    /// ```
    /// use buttress::adaptive_limit::AdaptiveLimitLayer;
    /// use buttress::load_shed::{Priority, PriorityClass};
    ///
    /// struct Request { export: bool }
    ///
    /// let class = |request: &Request| request.export.then_some(Priority::new(PriorityClass::Batch));
    /// let layer = AdaptiveLimitLayer::builder()
    ///     .priority(class, [(PriorityClass::Batch, 0.5), (PriorityClass::Background, 0.2),
    ///         (PriorityClass::Sheddable, 0.1)])
    ///     .build();
    /// # let _ = layer;
    /// ```
    pub fn priority<N>(
        self,
        find: N,
        shares: impl IntoIterator<Item = (PriorityClass, f64)>,
    ) -> Builder<A, C, M, N> {
        let Self { identity, config, algorithm, classifier, mode, .. } = self;
        let (priority, shares) = (find, Some(ClassShares::new(shares)));
        Builder { identity, config, algorithm, classifier, mode, priority, shares }
    }

    /// Decide, count and report [`WouldReject`](crate::observe::EventKind::WouldReject), but
    /// refuse nobody and let nobody wait: to try the limit out on live traffic.
    pub fn shadow(mut self) -> Self {
        self.config.shadow = true;
        self
    }
}

impl<A: Algorithm, C, M, P> Builder<A, C, M, P> {
    /// The layer.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense; see [`try_build`](Self::try_build).
    #[track_caller]
    pub fn build(self) -> AdaptiveLimitLayer<A, C, M, P> {
        config::expect(self.try_build())
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If `min` is 0, `max` less than that or more than 16,777,216, or `initial` not between the
    /// two; if `max_wait` is 0 or the queue longer than 16,777,216; if a share is not a number from
    /// 0 to 1, is more than that of a class above, or leaves the critical class less than all.
    pub fn try_build(self) -> Result<AdaptiveLimitLayer<A, C, M, P>, ConfigError> {
        self.config.check()?;
        self.shares.as_ref().map_or(Ok(()), ClassShares::check)?;
        let range = self.config.range();
        let Config { queue: len, max_wait, order, shadow, .. } = self.config;
        let machine = Machine::new(self.algorithm, range);
        let parts = self.shares.map_or(Shares::Alike, Shares::from);
        let slots = Slots::new(machine.limit(), QueueLimit { len, order }, parts, time::now);
        let emitter = self.identity.emitter("adaptive_limit", self.config.name.as_deref());
        emitter.limit(machine.limit());
        let full = Reason::LimitReached;
        let limiter = Limiter { slots, emitter, max_wait, shadow, full };
        let core = Arc::new(Core::new(limiter, range));
        pinned::announce(&core);
        let shared = Arc::new(Shared::new(core.clone(), machine, self.classifier));
        Ok(AdaptiveLimitLayer { front: Front::new(shared, self.priority), core, mode: self.mode })
    }
}
