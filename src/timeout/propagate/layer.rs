//! [`PropagateDeadlineLayer`] and its builder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::config::{self, ConfigError};
use crate::deadline::FromRequest;
use crate::observe::{Identity, identity_setters};
use crate::sync::anchors::Anchors;
use crate::timeout::propagate::service::Terms;
use crate::timeout::state::Shared;
use crate::timeout::wire::Wire;
use crate::timeout::{DeadlineHandle, HeaderFormat, PropagateDeadline, PropagateDeadlineConfig};

/// For clients: tells the server, in a header, how much time is left until the deadline of the
/// request.
///
/// The header is set anew in each call, so that under a retry every attempt says what is left by
/// then. It says the time left less a [`margin`](PropagateDeadlineBuilder::margin), rounded down,
/// in the finest unit of which 8 digits can hold it. A header that is there already and says less
/// stays, and a request without a deadline passes untouched. Where nothing is left, the call is
/// refused with [`DeadlineExceeded`](crate::Reason::DeadlineExceeded) and not sent.
///
/// The layer does not end the call at the deadline: that is what a
/// [`TimeoutLayer`](super::super::TimeoutLayer) with
/// [`deadline(FromRequest)`](super::super::Builder::deadline) does.
///
/// ```
/// use std::time::Duration;
/// use buttress::timeout::{Deadline, PropagateDeadlineLayer};
/// use buttress::BoxError;
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let client = ServiceBuilder::new()
///     .layer(PropagateDeadlineLayer::builder().margin(Duration::from_millis(10)).build())
///     .service_fn(async |request: Request<&str>| {
///         Ok::<_, BoxError>(Response::new(request.headers()["grpc-timeout"].clone()))
///     });
///
/// let mut request = Request::new("");
/// request.extensions_mut().insert(Deadline::after(Duration::from_millis(260)));
/// assert_eq!(client.oneshot(request).await.unwrap().into_body(), "250000u");
/// # }
/// ```
pub struct PropagateDeadlineLayer<D = FromRequest> {
    shared: Arc<Anchors<Shared>>,
    terms: Arc<Terms<D>>,
}

impl PropagateDeadlineLayer {
    /// Sets `grpc-timeout`, by the [`Deadline`](super::super::Deadline) in the request's
    /// extensions.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// As [`new`](Self::new), with more settings.
    pub fn builder() -> PropagateDeadlineBuilder {
        PropagateDeadlineBuilder::from(PropagateDeadlineConfig::default())
    }

    /// The layer as a file describes it.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense.
    pub fn from_config(config: PropagateDeadlineConfig) -> Result<Self, ConfigError> {
        PropagateDeadlineBuilder::from(config).try_build()
    }
}

impl Default for PropagateDeadlineLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<D> PropagateDeadlineLayer<D> {
    /// Reads how many headers, of those that were there already, made no sense.
    #[must_use]
    pub fn handle(&self) -> DeadlineHandle {
        DeadlineHandle::new(self.terms.wire.clone())
    }
}

impl<S, D> Layer<S> for PropagateDeadlineLayer<D> {
    type Service = PropagateDeadline<S, D>;

    fn layer(&self, inner: S) -> PropagateDeadline<S, D> {
        PropagateDeadline::new(inner, self.shared.clone(), self.terms.clone())
    }
}

impl<D> Clone for PropagateDeadlineLayer<D> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), terms: self.terms.clone() }
    }
}

impl<D> fmt::Debug for PropagateDeadlineLayer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PropagateDeadlineLayer")
            .field("shared", &self.shared)
            .field("wire", &self.terms.wire)
            .finish_non_exhaustive()
    }
}

/// Configures a [`PropagateDeadlineLayer`].
#[derive(Debug)]
#[must_use]
pub struct PropagateDeadlineBuilder<D = FromRequest> {
    identity: Identity,
    config: PropagateDeadlineConfig,
    deadline: D,
}

impl From<PropagateDeadlineConfig> for PropagateDeadlineBuilder {
    fn from(config: PropagateDeadlineConfig) -> Self {
        Self { identity: Identity::default(), config, deadline: FromRequest }
    }
}

impl<D> PropagateDeadlineBuilder<D> {
    identity_setters!();

    /// Where the deadline of a request is found: [`FromRequest`], which is the default, or a
    /// closure `|request: &Req| -> Option<Deadline>`.
    pub fn deadline<N>(self, deadline: N) -> PropagateDeadlineBuilder<N> {
        PropagateDeadlineBuilder { deadline, identity: self.identity, config: self.config }
    }

    /// Keeps back so much of the time left: for the way there and back, so that the server's
    /// answer can still arrive in time, even if it is that the time is over. Default: 0.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.config.margin = margin;
        self
    }

    /// Sets this header in place of `grpc-timeout`, in the same grammar.
    pub fn header(mut self, name: impl Into<String>) -> Self {
        (self.config.header, self.config.format) = (name.into(), HeaderFormat::Grpc);
        self
    }

    /// Sets this header in place of `grpc-timeout`, in milliseconds without a unit, as proxies
    /// understand it: Envoy's `x-envoy-upstream-rq-timeout-ms`, for one. Time left of less than a
    /// millisecond is none.
    pub fn header_millis(mut self, name: impl Into<String>) -> Self {
        (self.config.header, self.config.format) = (name.into(), HeaderFormat::Millis);
        self
    }

    /// Decide and report [`WouldReject`](crate::observe::EventKind::WouldReject), but refuse no
    /// call, and leave the requests as they are.
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
    pub fn build(self) -> PropagateDeadlineLayer<D> {
        config::expect(self.try_build())
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If the header's name is none that HTTP allows, or if it is `grpc-timeout`, in milliseconds.
    pub fn try_build(self) -> Result<PropagateDeadlineLayer<D>, ConfigError> {
        self.config.check()?;
        let PropagateDeadlineConfig { header, format, margin, shadow, name } = self.config;
        let emitter = self.identity.emitter("propagate_deadline", name.as_deref());
        let wire = Arc::new(Wire::new(&header, format));
        Ok(PropagateDeadlineLayer {
            shared: Arc::new(Anchors::new(Shared { emitter, shadow })),
            terms: Arc::new(Terms { wire, margin, deadline: self.deadline }),
        })
    }
}
