//! [`RateLimitLayer`] and its builder.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::admission::{Queue, Refuse};
use crate::config::{self, ConfigError};
use crate::deadline::NoDeadline;
use crate::observe::{Identity, identity_setters};
use crate::rate_limit::state::{Meter, Shared};
use crate::rate_limit::{
    Buckets, Config, FindBucket, Fixed, Handle, KeyedHandle, Overflow, PerBorrowedKey, PerKey,
    RateLimit, Standing, Whole,
};
use crate::time;

/// Limits the rate of calls. See the [module](super) for what it does.
///
/// `K` says whose rate it is, [`Whole`] or one for each key; `M` what happens beyond it, [`Refuse`]
/// or [`Queue`]; `C` what a call costs.
pub struct RateLimitLayer<K = Whole, M = Refuse, C = Fixed> {
    shared: Arc<Shared>,
    buckets: Arc<K>,
    mode: M,
    cost: Arc<C>,
}

impl RateLimitLayer {
    /// So many calls a second, and as many at once after a rest; beyond that, calls are refused.
    ///
    /// # Panics
    ///
    /// If that is 0.
    #[must_use]
    #[track_caller]
    pub fn new(per_second: u32) -> Self {
        Self::builder().per_second(per_second).build()
    }

    /// As [`new`](Self::new), with more settings. The rate has no default.
    pub fn builder() -> Builder {
        Builder::new(Config::new(0), Refuse)
    }
}

impl RateLimitLayer<Whole, Queue> {
    /// A rate limit as a file describes it, with one rate for all calls; for others see [`Builder`],
    /// which is made from a [`Config`] too. It is one that lets calls wait, since whether they may is
    /// known only when the file has been read; without a `max_wait` it refuses at once.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config(config: Config) -> Result<Self, ConfigError> {
        Builder::from(config).try_build()
    }
}

impl<M, C> RateLimitLayer<Whole, M, C> {
    /// Reads the rate limit while it is at work.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.shared.clone(), self.buckets.bucket().clone())
    }
}

impl<F, K, M, C> RateLimitLayer<PerKey<F, K>, M, C> {
    /// Reads the rate limit while it is at work.
    #[must_use]
    pub fn handle(&self) -> KeyedHandle<K> {
        KeyedHandle::new(self.shared.clone(), self.buckets.table().clone())
    }
}

impl<F, Q: ToOwned + ?Sized, M, C> RateLimitLayer<PerBorrowedKey<F, Q>, M, C> {
    /// Reads the rate limit while it is at work.
    #[must_use]
    pub fn handle(&self) -> KeyedHandle<Q::Owned> {
        KeyedHandle::new(self.shared.clone(), self.buckets.table().clone())
    }
}

impl<K, M, C> RateLimitLayer<K, M, C> {
    /// How this request would fare. Looking takes nothing.
    pub fn standing<Req>(&self, request: &Req) -> Standing
    where
        K: FindBucket<Req>,
    {
        self.standing_at(&self.spot(request))
    }

    /// So many calls in each such period.
    #[must_use]
    pub fn rate(&self) -> (u32, Duration) {
        self.shared.rate
    }

    /// What [`standing_at`](Self::standing_at) needs to know of a request.
    pub(crate) fn spot<Req>(&self, request: &Req) -> K::Spot
    where
        K: FindBucket<Req>,
    {
        self.buckets.spot(request)
    }

    pub(crate) fn standing_at(&self, spot: &K::Spot) -> Standing
    where
        K: Buckets,
    {
        self.shared.standing(|now| self.buckets.debt(spot, now))
    }
}

impl<S, K, M: Clone, C> Layer<S> for RateLimitLayer<K, M, C> {
    type Service = RateLimit<S, K, M, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self { shared, buckets, mode, cost } = self.clone();
        RateLimit::new(inner, shared, buckets, mode, cost)
    }
}

impl<K, M: Clone, C> Clone for RateLimitLayer<K, M, C> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            buckets: self.buckets.clone(),
            mode: self.mode.clone(),
            cost: self.cost.clone(),
        }
    }
}

impl<K, M, C> fmt::Debug for RateLimitLayer<K, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("name", &self.shared.emitter)
            .field("rate", &self.shared.rate)
            .finish_non_exhaustive()
    }
}

/// Configures a [`RateLimitLayer`].
#[derive(Debug)]
#[must_use]
pub struct Builder<K = Whole, M = Refuse, C = Fixed> {
    identity: Identity,
    config: Config,
    buckets: K,
    mode: M,
    cost: C,
}

impl<M> Builder<Whole, M> {
    fn new(config: Config, mode: M) -> Self {
        Self { identity: Identity::default(), config, buckets: Whole::new(), mode, cost: Fixed }
    }
}

impl<K, C> Builder<K, Refuse, C> {
    /// Lets a call wait for its turn instead of refusing it, if that is due within this time. Asks
    /// for an inner service that is `Clone`: see [Readiness](super#readiness).
    pub fn max_wait(mut self, wait: Duration) -> Builder<K, Queue, C> {
        self.config.max_wait = Some(wait);
        self.mode(Queue::until(NoDeadline))
    }
}

impl<K, D, C> Builder<K, Queue<D>, C> {
    /// The longest wait. Default: none, calls are refused at once.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.config.max_wait = Some(wait);
        self
    }

    /// Refuses a call whose turn would come after its deadline:
    /// [`FromRequest`](crate::timeout::FromRequest), or a closure
    /// `|request: &Req| -> Option<Deadline>`. Default: requests have none.
    pub fn deadline<N>(self, deadline: N) -> Builder<K, Queue<N>, C> {
        self.mode(Queue::until(deadline))
    }
}

impl<M, C> Builder<Whole, M, C> {
    /// A rate of its own for each key, which `find` makes from a request: a tenant, a user, a route.
    ///
    /// Where a key is a `String`, or whatever takes room, [`key_ref`](Self::key_ref) makes none for a
    /// key that is remembered. A key is kept as it is: cut or hash one that a caller may make long.
    /// `find` may be asked several times about one request.
    ///
    /// ```
    /// use buttress::rate_limit::RateLimitLayer;
    ///
    /// struct Request { account: u64 }
    ///
    /// let layer = RateLimitLayer::builder().per_second(10).key(|r: &Request| r.account).build();
    /// assert_eq!(layer.handle().available(&7), 10);
    /// ```
    pub fn key<Req, Key, F>(self, find: F) -> Builder<PerKey<F, Key>, M, C>
    where
        F: Fn(&Req) -> Key,
        Key: Hash + Eq,
    {
        self.buckets(PerKey::new(find))
    }

    /// As [`key`](Self::key), for a key that can be borrowed from the request.
    ///
    /// ```
    /// use buttress::rate_limit::RateLimitLayer;
    ///
    /// struct Request { tenant: String }
    ///
    /// let layer = RateLimitLayer::builder()
    ///     .per_second(10)
    ///     .key_ref(|request: &Request| request.tenant.as_str())
    ///     .build();
    /// assert_eq!(layer.handle().available("acme"), 10);
    /// ```
    pub fn key_ref<Req, Q, F>(self, find: F) -> Builder<PerBorrowedKey<F, Q>, M, C>
    where
        F: Fn(&Req) -> &Q,
        Q: ToOwned<Owned: Hash + Eq> + Hash + Eq + ?Sized,
    {
        self.buckets(PerBorrowedKey::new(find))
    }
}

impl<K, M> Builder<K, M, Fixed> {
    /// What each call costs. Default: 1. See also [`cost`](Self::cost).
    pub fn fixed_cost(mut self, cost: u32) -> Self {
        self.config.cost = cost;
        self
    }

    /// What a call costs, by its request. Default: the same for all.
    ///
    /// A call that costs more than the burst can never pass: it is refused, without a hint when to
    /// come back. One that costs 0 always passes.
    ///
    /// ```
    /// use buttress::rate_limit::RateLimitLayer;
    ///
    /// let rows = |rows: &u32| 1 + rows / 100;
    /// let layer = RateLimitLayer::builder().per_second(50).cost(rows).build();
    /// # let _ = layer;
    /// ```
    pub fn cost<N>(self, cost: N) -> Builder<K, M, N> {
        Builder {
            cost,
            identity: self.identity,
            config: self.config,
            buckets: self.buckets,
            mode: self.mode,
        }
    }
}

impl<K, M, C> Builder<K, M, C> {
    identity_setters!();

    /// So many calls a second, in the long run.
    pub fn per_second(self, calls: u32) -> Self {
        self.per(calls, Duration::from_secs(1))
    }

    /// So many calls in each such period, in the long run: `per(100, Duration::from_secs(3600))`
    /// for 100 an hour. They come evenly: one each `period / calls`, cut to whole nanoseconds.
    pub fn per(mut self, calls: u32, period: Duration) -> Self {
        self.config.calls = calls;
        self.config.per = period;
        self
    }

    /// So many calls pass at once after a rest. Default: as many as the rate brings in its period,
    /// a second for [`per_second`](Self::per_second).
    pub fn burst(mut self, calls: u32) -> Self {
        self.config.burst = Some(calls);
        self
    }

    /// With a rate for each key: how many keys are remembered at most. Default: 100,000.
    ///
    /// A key is remembered until its bucket is full again, `burst * period / calls` after its last
    /// call at the latest. See [Sharing](super#sharing).
    pub fn capacity(mut self, keys: usize) -> Self {
        self.config.capacity = keys;
        self
    }

    /// With a rate for each key: what becomes of a new one when there is no room for it. Default:
    /// [`Overflow::Share`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.config.overflow = overflow;
        self
    }

    /// Decide, count and report [`WouldReject`](crate::observe::EventKind::WouldReject), but
    /// refuse nobody and let nobody wait: to try a rate out on live traffic. What would have been
    /// refused costs nothing.
    pub fn shadow(mut self) -> Self {
        self.config.shadow = true;
        self
    }

    fn buckets<N>(self, buckets: N) -> Builder<N, M, C> {
        Builder {
            buckets,
            identity: self.identity,
            config: self.config,
            mode: self.mode,
            cost: self.cost,
        }
    }

    fn mode<N>(self, mode: N) -> Builder<K, N, C> {
        Builder {
            mode,
            identity: self.identity,
            config: self.config,
            buckets: self.buckets,
            cost: self.cost,
        }
    }
}

impl<K: Buckets, M, C> Builder<K, M, C> {
    /// The layer.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense; see [`try_build`](Self::try_build).
    #[must_use]
    #[track_caller]
    pub fn build(self) -> RateLimitLayer<K, M, C> {
        config::expect(self.try_build())
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If the rate, the period, the burst, `max_wait`, or the capacity is 0; if the fixed cost is 0
    /// or more than the burst; if it takes more than 146 years to fill a bucket.
    pub fn try_build(self) -> Result<RateLimitLayer<K, M, C>, ConfigError> {
        self.config.check()?;
        let meter = Meter::new(self.config.interval(), self.config.burst());
        let rate = (self.config.calls, self.config.per);
        let Config { cost, max_wait, capacity, overflow, shadow, name, .. } = self.config;
        let emitter = self.identity.emitter("rate_limit", name.as_deref());
        let epoch = time::now();
        let shared = Shared { meter, cost, max_wait, shadow, emitter, epoch, rate };
        let buckets = Arc::new(self.buckets.fitted(capacity, overflow, epoch));
        buckets.announce();
        Ok(RateLimitLayer {
            shared: Arc::new(shared),
            buckets,
            mode: self.mode,
            cost: Arc::new(self.cost),
        })
    }
}

impl From<Config> for Builder<Whole, Queue> {
    /// One that lets calls wait: whether they may is known only at run time.
    fn from(config: Config) -> Self {
        Self::new(config, Queue::until(NoDeadline))
    }
}
