//! [`TimeoutLayer`] and its builder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::admission::Front;
use crate::config::{self, ConfigError, check};
use crate::deadline::NoDeadline;
use crate::observe::{Identity, identity_setters};
use crate::timeout::service::Finders;
use crate::timeout::state::Shared;
use crate::timeout::{Cancel, Config, Detach, Fixed, Handle, LastUnbounded, Timeout};

/// Bounds how long a call may take. See the [module](super) for what it does.
pub struct TimeoutLayer<D = NoDeadline, P = Fixed, M = Cancel> {
    front: Arc<Front<Shared, Finders<D, P>>>,
    mode: M,
    also_readiness: bool,
}

impl TimeoutLayer {
    /// Calls may take as long as `limit`.
    ///
    /// # Panics
    ///
    /// If `limit` is 0.
    #[must_use]
    #[track_caller]
    pub fn new(limit: Duration) -> Self {
        Self::builder(limit).build()
    }

    /// As [`new`](Self::new), with more settings.
    pub fn builder(limit: Duration) -> Builder {
        Builder::from(Config::new(limit))
    }

    /// A timeout as a file describes it.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config(config: Config) -> Result<Self, ConfigError> {
        Builder::from(config).try_build()
    }
}

impl<D, P> TimeoutLayer<D, P, Detach> {
    /// Reads and waits for the calls that run on detached.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.mode.handle()
    }
}

impl<S, D, P, M: Clone> Layer<S> for TimeoutLayer<D, P, M> {
    type Service = Timeout<S, D, P, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout::new(inner, self.front.clone(), self.mode.clone(), self.also_readiness)
    }
}

impl<D, P, M: Clone> Clone for TimeoutLayer<D, P, M> {
    fn clone(&self) -> Self {
        Self {
            front: self.front.clone(),
            mode: self.mode.clone(),
            also_readiness: self.also_readiness,
        }
    }
}

impl<D, P, M> fmt::Debug for TimeoutLayer<D, P, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutLayer").field("shared", &self.front.state).finish_non_exhaustive()
    }
}

/// Configures a [`TimeoutLayer`].
#[derive(Debug)]
#[must_use]
pub struct Builder<D = NoDeadline, P = Fixed, M = Cancel> {
    identity: Identity,
    config: Config,
    deadline: D,
    per_request: P,
    mode: M,
    detached: usize,
}

impl From<Config> for Builder {
    fn from(config: Config) -> Self {
        Self {
            identity: Identity::default(),
            config,
            deadline: NoDeadline,
            per_request: Fixed,
            mode: Cancel,
            detached: 1,
        }
    }
}

impl<D, P, M> Builder<D, P, M> {
    identity_setters!();

    /// Ends a call at its request's deadline where that comes first:
    /// [`FromRequest`](super::FromRequest), or a closure `|request: &Req| -> Option<Deadline>`.
    /// Default: requests have none.
    pub fn deadline<N>(self, deadline: N) -> Builder<N, P, M> {
        Builder {
            deadline,
            identity: self.identity,
            config: self.config,
            per_request: self.per_request,
            mode: self.mode,
            detached: self.detached,
        }
    }

    /// Chooses the limit by the request, in place of the one for all. A limit of 0 ends a call
    /// that is not ready at once; one of [`Duration::MAX`] ends none.
    pub fn per_request<Req, F>(self, limit: F) -> Builder<D, F, M>
    where
        F: Fn(&Req) -> Duration,
    {
        Builder {
            per_request: limit,
            identity: self.identity,
            config: self.config,
            deadline: self.deadline,
            mode: self.mode,
            detached: self.detached,
        }
    }

    /// Leaves the last attempt of a retry around this layer to its
    /// [`deadline`](Self::deadline) alone, since cutting it would gain no further one. To be set
    /// after [`per_request`](Self::per_request). Without a deadline, and without a timeout around
    /// the retry, the last attempt may take for ever.
    ///
    /// In a [hedge](crate::hedge) that is the second attempt, and the first where it knows that there
    /// will be no second, as before its warm-up.
    ///
    /// Which attempt it is says the [`Attempt`](crate::retry::Attempt) in the request's extensions;
    /// a request without one keeps its limit, and so does the wait that
    /// [`also_readiness`](Self::also_readiness) counts.
    pub fn last_attempt_unbounded(self) -> Builder<D, LastUnbounded<P>, M> {
        Builder {
            per_request: LastUnbounded::new(self.per_request),
            identity: self.identity,
            config: self.config,
            deadline: self.deadline,
            mode: self.mode,
            detached: self.detached,
        }
    }

    /// Counts the wait for the inner service's readiness too. Default: only the call counts.
    pub fn also_readiness(mut self) -> Self {
        self.config.also_readiness = true;
        self
    }

    /// Decide and report [`WouldReject`](crate::observe::EventKind::WouldReject) when a call's
    /// time is over, but let it run on: to try a limit out on live traffic.
    pub fn shadow(mut self) -> Self {
        self.config.shadow = true;
        self
    }

    /// Lets calls run on when their time is over or their caller has gone, up to `at_most` of them
    /// at once; any beyond that are dropped. For work that must not be cut in the middle. Needs an
    /// inner future that is `Send` and `'static`, and costs one allocation for each call.
    pub fn detach(self, at_most: usize) -> Builder<D, P, Detach> {
        Builder {
            mode: Detach::new(at_most),
            detached: at_most,
            identity: self.identity,
            config: self.config,
            deadline: self.deadline,
            per_request: self.per_request,
        }
    }

    /// The layer.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense; see [`try_build`](Self::try_build).
    #[track_caller]
    pub fn build(self) -> TimeoutLayer<D, P, M> {
        config::expect(self.try_build())
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If the limit is 0, or no call may be detached.
    pub fn try_build(self) -> Result<TimeoutLayer<D, P, M>, ConfigError> {
        self.config.check()?;
        check(self.detached >= 1, "timeout.detach", self.detached, "1 or more")?;
        let emitter = self.identity.emitter("timeout", self.config.name.as_deref());
        let Config { limit, shadow, also_readiness, .. } = self.config;
        let finders = Finders { deadline: self.deadline, limit: self.per_request, own: limit };
        Ok(TimeoutLayer {
            front: Front::new(Shared { emitter, shadow }, finders),
            mode: self.mode,
            also_readiness,
        })
    }
}
