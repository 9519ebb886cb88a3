//! [`DeadlineLayer`] and its builder.

use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::config::{self, ConfigError};
use crate::observe::{Identity, identity_setters};
use crate::sync::anchors::Anchors;
use crate::timeout::state::Shared;
use crate::timeout::wire::Wire;
use crate::timeout::{DeadlineConfig, DeadlineHandle, Deadlined, HeaderFormat};

/// For servers: takes the deadline of a request from its header, and holds the call to it.
///
/// The deadline is put into the request's extensions, where layers further in and the handler
/// find it. Work that arrives too late is refused with
/// [`DeadlineExceeded`](crate::Reason::DeadlineExceeded), undispatched; work whose deadline passes
/// while it waits or runs is dropped, with the same reason. The time counts from the arrival of
/// the request.
///
/// A [`Deadline`](super::super::Deadline) that is in the extensions already stays if it is the
/// sooner one: no layer ever gives a request more time. A header that makes no sense, or that is
/// there more than once, is ignored, and counted by [`handle`](Self::handle) and as
/// [`Malformed`](crate::observe::EventKind::Malformed).
///
/// ```
/// use std::time::Duration;
/// use buttress::timeout::{Deadline, DeadlineLayer};
/// use buttress::BoxError;
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let service = ServiceBuilder::new()
///     .layer(DeadlineLayer::builder().at_most(Duration::from_secs(10)).build())
///     .service_fn(async |request: Request<&str>| {
///         let deadline: &Deadline = request.extensions().get().expect("one there always is");
///         Ok::<_, BoxError>(Response::new(deadline.remaining()))
///     });
///
/// let hurried = Request::builder().header("grpc-timeout", "250m").body("").unwrap();
/// let response = service.clone().oneshot(hurried).await.unwrap();
/// assert_eq!(response.into_body(), Duration::from_millis(250));
/// let response = service.oneshot(Request::new("")).await.unwrap();
/// assert_eq!(response.into_body(), Duration::from_secs(10));
/// # }
/// ```
///
/// A request without any deadline costs no clock and no timer.
#[derive(Clone, Debug)]
pub struct DeadlineLayer {
    shared: Arc<Anchors<Shared>>,
    wire: Arc<Wire>,
    at_most: Option<Duration>,
}

impl DeadlineLayer {
    /// Reads `grpc-timeout`.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// As [`new`](Self::new), with more settings.
    pub fn builder() -> DeadlineBuilder {
        DeadlineBuilder::from(DeadlineConfig::default())
    }

    /// A deadline layer as a file describes it.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config(config: DeadlineConfig) -> Result<Self, ConfigError> {
        DeadlineBuilder::from(config).try_build()
    }

    /// Reads how many headers made no sense.
    #[must_use]
    pub fn handle(&self) -> DeadlineHandle {
        DeadlineHandle::new(self.wire.clone())
    }
}

impl Default for DeadlineLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadlined<S>;

    fn layer(&self, inner: S) -> Deadlined<S> {
        Deadlined::new(inner, self.shared.clone(), self.wire.clone(), self.at_most)
    }
}

/// Configures a [`DeadlineLayer`].
#[derive(Debug)]
#[must_use]
pub struct DeadlineBuilder {
    identity: Identity,
    config: DeadlineConfig,
}

impl From<DeadlineConfig> for DeadlineBuilder {
    fn from(config: DeadlineConfig) -> Self {
        Self { identity: Identity::default(), config }
    }
}

impl DeadlineBuilder {
    identity_setters!();

    /// Reads this header in place of `grpc-timeout`: in its grammar, or plain digits, which are
    /// milliseconds, as proxies write them (Envoy's `x-envoy-expected-rq-timeout-ms`).
    pub fn header(mut self, name: impl Into<String>) -> Self {
        self.config.header = name.into();
        self
    }

    /// The longest time a call may have, and the time of one that says none. Default: no limit,
    /// and a request that says no deadline has none.
    pub fn at_most(mut self, limit: Duration) -> Self {
        self.config.at_most = Some(limit);
        self
    }

    /// Decide and report [`WouldReject`](crate::observe::EventKind::WouldReject), but refuse and
    /// end no call: to try deadlines out on live traffic. The requests pass untouched, so that
    /// layers further in do not find the deadline either.
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
    pub fn build(self) -> DeadlineLayer {
        config::expect(self.try_build())
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If `at_most` is 0, or the header's name is none that HTTP allows.
    pub fn try_build(self) -> Result<DeadlineLayer, ConfigError> {
        self.config.check()?;
        let DeadlineConfig { header, at_most, shadow, name } = self.config;
        let emitter = self.identity.emitter("deadline", name.as_deref());
        Ok(DeadlineLayer {
            shared: Arc::new(Anchors::new(Shared { emitter, shadow })),
            wire: Arc::new(Wire::new(&header, HeaderFormat::Grpc)),
            at_most,
        })
    }
}
