//! [`LoadShedLayer`] and its builder.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::codel::Codel;
use crate::config::{self, ConfigError};
use crate::load_shed::drive::{Driven, Undriven};
use crate::load_shed::gate::Gate;
use crate::load_shed::line::Line;
use crate::load_shed::signal::{Signal, Signals};
use crate::load_shed::stall::Stall;
use crate::load_shed::state::State;
use crate::load_shed::{Config, Handle, LoadShed, Nobody, Queue, QueueDelay, Refuse};
use crate::observe::{Identity, identity_setters};
use crate::priority::NoPriority;

/// Refuses calls that the inner service has no room for. See the [module](super) for what it does.
///
/// `M` says whether calls may wait: [`Refuse`] or [`Queue`].
pub struct LoadShedLayer<M = Refuse> {
    state: Arc<State>,
    mode: M,
}

impl LoadShedLayer {
    /// Calls are refused when the inner service is not ready.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// As [`new`](Self::new), with more settings.
    pub fn builder() -> Builder {
        Builder {
            identity: Identity::default(),
            config: Config::default(),
            mode: Refuse,
            signals: Signals::default(),
            prioritized: false,
        }
    }
}

impl Default for LoadShedLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl LoadShedLayer<Queue<Driven>> {
    /// A layer as a file describes it. It is in queue mode, since whether calls wait is known only
    /// when the file has been read; with the default settings none does.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config(config: Config) -> Result<Self, ConfigError> {
        Builder::from(config).try_build()
    }
}

impl<M> LoadShedLayer<M> {
    /// Reads the layer while it is at work.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.state.clone())
    }
}

impl<S, M: Clone> Layer<S> for LoadShedLayer<M> {
    type Service = LoadShed<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        LoadShed::new(inner, self.state.clone(), self.mode.clone())
    }
}

impl<M: Clone> Clone for LoadShedLayer<M> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), mode: self.mode.clone() }
    }
}

impl<M> fmt::Debug for LoadShedLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadShedLayer").field("state", &self.state).finish_non_exhaustive()
    }
}

/// [`Refuse`] or [`Queue`]: what the settings made so far come to.
pub trait Mode {
    /// Whether readiness is driven on.
    type Driver;
    /// Finds the priority of a request.
    type Priority;
    /// Says which requests are exempt.
    type Exempt;

    #[doc(hidden)]
    fn into_queue(self) -> Queue<Self::Driver, Self::Priority, Self::Exempt>;
}

/// The [`Queue`] that a mode becomes as soon as calls may wait.
pub type QueueOf<M> = Queue<<M as Mode>::Driver, <M as Mode>::Priority, <M as Mode>::Exempt>;

impl Mode for Refuse {
    type Driver = Undriven;
    type Priority = NoPriority;
    type Exempt = Nobody;

    fn into_queue(self) -> Queue {
        Queue::new(NoPriority, Nobody)
    }
}

impl<D, P, X> Mode for Queue<D, P, X> {
    type Driver = D;
    type Priority = P;
    type Exempt = X;

    fn into_queue(self) -> Self {
        self
    }
}

/// Configures a [`LoadShedLayer`].
#[derive(Debug)]
#[must_use]
pub struct Builder<M = Refuse> {
    identity: Identity,
    config: Config,
    mode: M,
    signals: Signals,
    prioritized: bool,
}

impl<M> Builder<M> {
    identity_setters!();

    /// Refuses the share of calls that `signal` says, before anything waits. Of several signals the
    /// highest counts. Without priorities chance decides whom it hits.
    pub fn signal(mut self, signal: impl Signal + 'static) -> Self {
        self.signals.push(signal);
        self
    }

    /// Makes the draws of the layer repeat. Default: seeded by the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = Some(seed);
        self
    }

    /// Decide and report [`WouldReject`](crate::observe::EventKind::WouldReject), but refuse
    /// nobody: to try the layer out on live traffic. It waits for the inner service as a call
    /// without this layer would, so `poll_ready` is pending where the inner service is.
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
    pub fn build(self) -> LoadShedLayer<M> {
        config::expect(self.try_build())
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If the time until fail-fast or the target of the queue delay is 0, the interval no longer
    /// than the target, or the queue longer than 16,777,216.
    pub fn try_build(self) -> Result<LoadShedLayer<M>, ConfigError> {
        let config = self.config;
        config.check()?;
        let delay = config.delay();
        let codel = delay.map(|QueueDelay { target, interval }| Codel::new(target, interval));
        let line = Line::new(config.queue_len(), codel, config.fail_fast.map(Stall::new));
        let window = delay.unwrap_or_default().interval;
        let gate = Gate::new(self.signals, self.prioritized, window, config.seed);
        let emitter = self.identity.emitter("load_shed", config.name.as_deref());
        let state = Arc::new(State::new(emitter, config.shadow, gate, line));
        Ok(LoadShedLayer { state, mode: self.mode })
    }
}

impl<M: Mode> Builder<M> {
    /// Lets calls wait for the inner service, and refuses them by how long they do.
    ///
    /// A call may wait for `interval`. Once nobody has been served within `target` for `interval`
    /// the queue stands: until it has run empty a call may wait for `target` only, and the newest
    /// are served first. The figures of the literature are 5 ms and 100 ms,
    /// [`QueueDelay::default`]. Up to 1024 calls wait: see [`queue`](Self::queue).
    ///
    /// The rule: Nichols and Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012, and
    /// RFC 8289; in the form for servers of Maurer, "Fail at Scale", ACM Queue 13(8), 2015.
    pub fn queue_delay(mut self, target: Duration, interval: Duration) -> Builder<QueueOf<M>> {
        self.config.queue_delay = Some(QueueDelay { target, interval });
        self.queued(|mode| mode)
    }

    /// How many calls may wait for the inner service; any beyond that are refused at once. Default:
    /// 1024 with [`queue_delay`](Self::queue_delay) or [`fail_fast`](Self::fail_fast), else 0.
    /// With neither, the wait is bounded by the default [`QueueDelay`].
    pub fn queue(mut self, len: usize) -> Builder<QueueOf<M>> {
        self.config.queue = Some(len);
        self.queued(|mode| mode)
    }

    /// Lets calls wait for the inner service, and refuses all of them once it has been pending for
    /// `after`, those that wait included. From then on calls are refused at once, while a task
    /// drives its readiness on; they are let in again as soon as it is ready.
    ///
    /// Asks for an inner service that is `Send + 'static`. The task runs where the call was made,
    /// ends when the inner service is ready or fails, and with the layer, its services and handles;
    /// there is one at most.
    pub fn fail_fast(mut self, after: Duration) -> Builder<Queue<Driven, M::Priority, M::Exempt>> {
        self.config.fail_fast = Some(after);
        self.queued(|Queue { priority, exempt, .. }| Queue {
            driver: PhantomData,
            priority,
            exempt,
        })
    }

    /// Refuses by priority: [`FromRequest`](crate::timeout::FromRequest), or a closure
    /// `|request: &Req| -> Option<Priority>`, which decides whom it believes. Default: requests
    /// are alike.
    ///
    /// The share that is refused is that of the [signals](Self::signal), or of the calls of late
    /// that found no room, if that is more.
    pub fn priority<P>(mut self, priority: P) -> Builder<Queue<M::Driver, P, M::Exempt>> {
        self.prioritized = true;
        let priority = Arc::new(priority);
        self.queued(|Queue { driver, exempt, .. }| Queue { driver, priority, exempt })
    }

    /// Never sheds what `exempt` picks, health checks for one. Such a call waits for the inner
    /// service where it must, beside all others.
    ///
    /// ```
    /// use buttress::load_shed::LoadShedLayer;
    ///
    /// let layer = LoadShedLayer::builder().exempt(|path: &&str| *path == "/healthz").build();
    /// # let _ = layer;
    /// ```
    pub fn exempt<Req, X>(self, exempt: X) -> Builder<Queue<M::Driver, M::Priority, X>>
    where
        X: Fn(&Req) -> bool,
    {
        let exempt = Arc::new(exempt);
        self.queued(|Queue { driver, priority, .. }| Queue { driver, priority, exempt })
    }

    fn queued<N>(self, into: impl FnOnce(QueueOf<M>) -> N) -> Builder<N> {
        Builder {
            identity: self.identity,
            config: self.config,
            mode: into(self.mode.into_queue()),
            signals: self.signals,
            prioritized: self.prioritized,
        }
    }
}

impl From<Config> for Builder<Queue<Driven>> {
    /// In queue mode: whether calls wait is known only at run time.
    fn from(config: Config) -> Self {
        Self {
            identity: Identity::default(),
            config,
            mode: Queue::new(NoPriority, Nobody),
            signals: Signals::default(),
            prioritized: false,
        }
    }
}
