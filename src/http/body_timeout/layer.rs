//! [`BodyTimeoutLayer`] and its builder.

use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::config::{self, ConfigError};
use crate::http::body_timeout::future::Limits;
use crate::http::{BodyTimeout, BodyTimeoutConfig};
use crate::observe::{Identity, identity_setters};
use crate::sync::anchors::Anchors;
use crate::timeout::state::Shared;

/// Bounds how long a response body may take. A [`TimeoutLayer`](crate::timeout::TimeoutLayer) is
/// done when the head of the response is there; a stream that stalls after it would hang for ever.
///
/// Two limits, each by itself or both:
///
/// - [`idle`](BodyTimeoutBuilder::idle): the longest wait for the next frame, while somebody asks
///   for it. A client that reads slowly is not charged for it.
/// - [`total`](BodyTimeoutBuilder::total): the longest time from the arrival of the head to the
///   end of the body, however fast it is read.
///
/// What is ready in the same poll as the timer wins; of `total`, only the end of the body does, so
/// that it also ends a body that is always ready. When a limit is reached the inner body is
/// dropped, and the error of the [`TimeoutBody`](super::TimeoutBody) is a
/// [`Rejected`](crate::Rejected) with [`TimedOut`](crate::Reason::TimedOut) and
/// `was_dispatched() == true`. On a server the connection is then cut, since the head has been
/// sent: it is how the client finds out that the body is not whole.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use buttress::http::BodyTimeoutLayer;
///
/// let app: Router = Router::new()
///     .route("/export", get(async || "a long body"))
///     .layer(
///         BodyTimeoutLayer::builder()
///             .idle(Duration::from_secs(10))
///             .total(Duration::from_secs(600))
///             .build(),
///     );
/// ```
///
/// The type of the body changes, so that `option_layer` cannot switch the layer on and off. The
/// error type is the inner service's: any that is [`Rejectable`](crate::Rejectable), or
/// `Infallible`, as that of axum's routes.
///
/// Events under the layer name `body_timeout`: `Admitted` · `Settled` when the body has ended (or
/// with an error in place of the head) · `Abandoned` when it was dropped before · `Rejected` with
/// `TimedOut` · `WouldReject` in shadow mode. A response without a body is settled with its head.
///
/// Costs no allocation and, for a body that is always ready, no timer. With `idle`, the clock is
/// read once for each wait, and with `total` once for each frame.
#[derive(Clone, Debug)]
pub struct BodyTimeoutLayer {
    shared: Arc<Anchors<Shared>>,
    limits: Limits,
}

impl BodyTimeoutLayer {
    /// The next frame may take as long as `limit`.
    ///
    /// # Panics
    ///
    /// If `limit` is 0.
    #[must_use]
    #[track_caller]
    pub fn idle(limit: Duration) -> Self {
        Self::builder().idle(limit).build()
    }

    /// The whole body may take as long as `limit`.
    ///
    /// # Panics
    ///
    /// If `limit` is 0.
    #[must_use]
    #[track_caller]
    pub fn total(limit: Duration) -> Self {
        Self::builder().total(limit).build()
    }

    /// Both limits, and more settings.
    pub fn builder() -> BodyTimeoutBuilder {
        BodyTimeoutBuilder::from(BodyTimeoutConfig::default())
    }

    /// The layer as a file describes it.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config(config: BodyTimeoutConfig) -> Result<Self, ConfigError> {
        BodyTimeoutBuilder::from(config).try_build()
    }
}

impl<S> Layer<S> for BodyTimeoutLayer {
    type Service = BodyTimeout<S>;

    fn layer(&self, inner: S) -> BodyTimeout<S> {
        BodyTimeout::new(inner, self.shared.clone(), self.limits)
    }
}

/// Configures a [`BodyTimeoutLayer`]. At least one of the limits has to be set.
#[derive(Debug)]
#[must_use]
pub struct BodyTimeoutBuilder {
    identity: Identity,
    config: BodyTimeoutConfig,
}

impl From<BodyTimeoutConfig> for BodyTimeoutBuilder {
    fn from(config: BodyTimeoutConfig) -> Self {
        Self { identity: Identity::default(), config }
    }
}

impl BodyTimeoutBuilder {
    identity_setters!();

    /// The longest wait for the next frame. Default: no limit.
    pub fn idle(mut self, limit: Duration) -> Self {
        self.config.idle = Some(limit);
        self
    }

    /// The longest time from the arrival of the head to the end of the body. Default: no limit.
    pub fn total(mut self, limit: Duration) -> Self {
        self.config.total = Some(limit);
        self
    }

    /// Decide and report [`WouldReject`](crate::observe::EventKind::WouldReject), once for each
    /// body, but let the bodies go on: to try a limit out on live traffic.
    pub fn shadow(mut self) -> Self {
        self.config.shadow = true;
        self
    }

    /// The layer.
    ///
    /// # Panics
    ///
    /// If a setting makes no sense; see [`try_build`](Self::try_build).
    #[must_use]
    #[track_caller]
    pub fn build(self) -> BodyTimeoutLayer {
        config::expect(self.try_build())
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If a limit is 0, or none is set.
    pub fn try_build(self) -> Result<BodyTimeoutLayer, ConfigError> {
        self.config.check()?;
        let BodyTimeoutConfig { idle, total, shadow, name } = self.config;
        let emitter = self.identity.emitter("body_timeout", name.as_deref());
        let shared = Arc::new(Anchors::new(Shared { emitter, shadow }));
        Ok(BodyTimeoutLayer { shared, limits: Limits { idle, total } })
    }
}
