//! [`respond`] and [`RespondLayer`].

use std::fmt;
use std::marker::PhantomData;

use tower_layer::Layer;

use crate::error::{Lift, LiftLayer};
use crate::http::respond::{Problem, Respond};

/// Wraps a stack of layers so that its refusals become HTTP responses, and the error type outside
/// is the service's own again.
///
/// `stack` is one layer, a `ServiceBuilder` or a tuple of layers. The service below is lifted
/// ([`LiftLayer`]), so that the layers of `stack` can refuse; what they refuse is answered as the
/// table in the [module documentation](crate::http) says; every other outcome passes untouched.
///
/// This is how the layers get into an axum `Router`, whose services never fail:
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use buttress::{bulkhead::BulkheadLayer, http::respond, timeout::TimeoutLayer};
/// use tower::ServiceBuilder;
///
/// let app: Router = Router::new()
///     .route("/", get(async || "hello"))
///     .layer(respond(
///         ServiceBuilder::new()
///             .layer(BulkheadLayer::new(100))
///             .layer(TimeoutLayer::new(Duration::from_secs(2))),
///     ));
/// ```
///
/// On a client it keeps the client's error type outside, so that the stack can be added to code
/// that already handles it. There the refusal is told from a response of the server's by the
/// [`Rejected`](crate::Rejected) in its extensions.
pub fn respond<L>(stack: L) -> RespondLayer<L> {
    RespondLayer::new(stack)
}

/// The layer that [`respond`] and `grpc::respond` make. `R` says in which protocol refusals are
/// written.
pub struct RespondLayer<L, R = Problem> {
    stack: L,
    renderer: PhantomData<fn() -> R>,
}

impl<L, R> RespondLayer<L, R> {
    pub(crate) fn new(stack: L) -> Self {
        Self { stack, renderer: PhantomData }
    }
}

impl<S, L, R> Layer<S> for RespondLayer<L, R>
where
    L: Layer<Lift<S>>,
{
    type Service = Respond<L::Service, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Respond::new(self.stack.layer(LiftLayer.layer(inner)))
    }
}

impl<L: Clone, R> Clone for RespondLayer<L, R> {
    fn clone(&self) -> Self {
        Self::new(self.stack.clone())
    }
}

impl<L: fmt::Debug, R> fmt::Debug for RespondLayer<L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RespondLayer").field("stack", &self.stack).finish_non_exhaustive()
    }
}
