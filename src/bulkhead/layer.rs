//! [`BulkheadLayer`] and its builder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::admission::{Front, Limiter, QueueLimit, QueueOrder, Shares, Slots};
use crate::bulkhead::state::State;
use crate::bulkhead::{Bulkhead, Config, Handle, Partitions, Queue, Refuse, Whole};
use crate::config::{self, ConfigError};
use crate::deadline::NoDeadline;
use crate::observe::{Identity, identity_setters};
use crate::pinned;
use crate::rejected::Reason;
use crate::time;

/// Limits the calls in flight. See the [module](super) for what it does.
///
/// `M` is what happens beyond the limit, [`Refuse`] or [`Queue`]; `P` says which partition a
/// request belongs to.
pub struct BulkheadLayer<M = Refuse, P = Whole> {
    front: Arc<Front<State, P>>,
    mode: M,
}

impl BulkheadLayer {
    /// At most `max_concurrent` calls in flight; beyond that, calls are refused.
    #[must_use]
    pub fn new(max_concurrent: usize) -> Self {
        Self::builder(max_concurrent).build()
    }

    /// As [`new`](Self::new), with more settings.
    pub fn builder(max_concurrent: usize) -> Builder {
        Builder {
            identity: Identity::default(),
            config: Config::new(max_concurrent),
            mode: Refuse,
            partition: Whole,
            shares: Vec::new(),
        }
    }
}

impl BulkheadLayer<Queue> {
    /// A bulkhead as a file describes it. It is in queue mode, since whether there is a queue is
    /// known only when the file has been read; a queue of `0` refuses at once.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config(config: Config) -> Result<Self, ConfigError> {
        Builder::from(config).try_build()
    }
}

impl<M, P> BulkheadLayer<M, P> {
    /// Reads and steers the limit while it is at work.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.front.state.shared().clone())
    }
}

impl<S, M: Clone, P> Layer<S> for BulkheadLayer<M, P> {
    type Service = Bulkhead<S, M, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Bulkhead::new(inner, self.front.clone(), self.mode.clone())
    }
}

impl<M: Clone, P> Clone for BulkheadLayer<M, P> {
    fn clone(&self) -> Self {
        Self { front: self.front.clone(), mode: self.mode.clone() }
    }
}

impl<M, P> fmt::Debug for BulkheadLayer<M, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadLayer").field("state", &self.front.state).finish_non_exhaustive()
    }
}

/// Configures a [`BulkheadLayer`].
#[derive(Debug)]
#[must_use]
pub struct Builder<M = Refuse, P = Whole> {
    identity: Identity,
    config: Config,
    mode: M,
    partition: P,
    shares: Vec<f64>,
}

impl<P> Builder<Refuse, P> {
    /// Lets up to `len` calls wait instead of refusing them. Asks for an inner service that is
    /// `Clone`: see [Readiness](super#readiness).
    pub fn queue(self, len: usize) -> Builder<Queue, P> {
        Builder {
            config: Config { queue: len, ..self.config },
            identity: self.identity,
            mode: Queue::until(NoDeadline),
            partition: self.partition,
            shares: self.shares,
        }
    }
}

impl<D, P> Builder<Queue<D>, P> {
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
    pub fn deadline<N>(self, deadline: N) -> Builder<Queue<N>, P> {
        Builder {
            mode: Queue::until(deadline),
            identity: self.identity,
            config: self.config,
            partition: self.partition,
            shares: self.shares,
        }
    }
}

impl<M, P> Builder<M, P> {
    identity_setters!();

    /// Promises each kind of call a share of the limit, for when all slots are taken.
    ///
    /// `key` gives the kind of a request. A kind that is not in `shares` belongs to the default
    /// partition, whose share is what the others leave. Each is promised
    /// `max(1, ceil(limit * share))` slots.
    ///
    /// ```
    /// use buttress::bulkhead::BulkheadLayer;
    ///
    /// struct Request { paying: bool }
    ///
    /// let layer = BulkheadLayer::builder(100)
    ///     .partition(|request: &Request| request.paying, [(true, 0.8), (false, 0.2)])
    ///     .build();
    /// # let _ = layer;
    /// ```
    pub fn partition<Req, K, F>(
        self,
        key: F,
        shares: impl IntoIterator<Item = (K, f64)>,
    ) -> Builder<M, Partitions<K, F>>
    where
        K: PartialEq,
        F: Fn(&Req) -> K,
    {
        let (keys, mut shares): (Vec<_>, Vec<_>) = shares.into_iter().unzip();
        shares.push((1.0 - shares.iter().sum::<f64>()).max(0.0));
        Builder {
            partition: Partitions::new(key, keys),
            shares,
            identity: self.identity,
            config: self.config,
            mode: self.mode,
        }
    }

    /// Decide, count and report [`WouldReject`](crate::observe::EventKind::WouldReject), but
    /// refuse nobody and let nobody wait: to try a limit out on live traffic.
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
    pub fn build(self) -> BulkheadLayer<M, P> {
        config::expect(self.try_build())
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If `max_wait` is 0, the queue longer than 16,777,216, or the shares are not numbers from 0
    /// to 1 that add up to at most 1.
    pub fn try_build(self) -> Result<BulkheadLayer<M, P>, ConfigError> {
        self.config.check(&self.shares)?;
        let Config { max_concurrent, queue: len, max_wait, order, shadow, .. } = self.config;
        let shares = Shares::promised(self.shares);
        let slots = Slots::new(max_concurrent, QueueLimit { len, order }, shares, time::now);
        let emitter = self.identity.emitter("bulkhead", self.config.name.as_deref());
        emitter.limit(max_concurrent);
        let full = Reason::BulkheadFull;
        let state = Arc::new(State::new(Limiter { slots, emitter, max_wait, shadow, full }));
        pinned::announce(&state);
        Ok(BulkheadLayer { front: Front::new(state, self.partition), mode: self.mode })
    }
}

impl From<Config> for Builder<Queue<NoDeadline>> {
    /// In queue mode: whether there is a queue is known only at run time.
    fn from(config: Config) -> Self {
        Self {
            identity: Identity::default(),
            config,
            mode: Queue::until(NoDeadline),
            partition: Whole,
            shares: Vec::new(),
        }
    }
}
