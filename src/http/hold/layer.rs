//! [`HoldBody`].

use tower_layer::Layer;

use crate::http::hold::Holding;

/// Wraps a layer so that what it holds for a call is held until the response body has ended.
///
/// Without it, a call ends when its response *head* is there. That is right for small answers. A
/// download or an event stream has only begun then: a bulkhead would count it as gone, and a
/// circuit breaker would never see it break off.
///
/// ```
/// use buttress::{bulkhead::BulkheadLayer, http::{HoldBody, respond}};
/// use axum::{Router, routing::get};
///
/// // At most 20 downloads at a time, counted for as long as they last.
/// let app: Router = Router::new()
///     .route("/export", get(async || "a long body"))
///     .layer(respond(HoldBody::new(BulkheadLayer::new(20))));
/// ```
///
/// The layer is one of this crate that holds a permit, a bulkhead or a circuit breaker, or one of
/// your own whose response future is [`Hold`](crate::admission::Hold).
///
/// # The verdict
///
/// The layer's classifier judges the head first, then the end
/// ([`ClassifyEnd`](crate::classify::ClassifyEnd)).
///
/// | the body | a head whose verdict is final (a 503) | a head that waits for the end (a 200) |
/// | --- | --- | --- |
/// | ended, with or without trailers | verdict on the head | verdict on the end |
/// | failed | verdict on the head | verdict on the end: a transient failure |
/// | was dropped | verdict on the head | abandoned: the call decides nothing |
///
/// A response that has no body is settled with its head: the answer to a `HEAD` request, a 204
/// or 304, and a body that says by itself that nothing will come. A body whose `Content-Length`
/// has been read in full counts as ended even where nobody asks it for its end, as HTTP servers
/// do not.
///
/// A client that reads the status and drops a successful body unread abandons its calls. Under a
/// circuit breaker that means that its successes do not count, and that a half-open circuit does
/// not close: read the bodies, or leave `HoldBody` out there.
///
/// # The type changes
///
/// The response body becomes a [`HeldBody`](super::HeldBody). A layer in an `option_layer` must
/// not change the response type, so `HoldBody` cannot be switched on and off there.
#[derive(Clone, Copy, Debug)]
pub struct HoldBody<L> {
    layer: L,
}

impl<L> HoldBody<L> {
    /// Holds the permits of `layer` until the response body has ended.
    #[must_use]
    pub fn new(layer: L) -> Self {
        Self { layer }
    }
}

impl<S, L: Layer<S>> Layer<S> for HoldBody<L> {
    type Service = Holding<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        Holding::new(self.layer.layer(inner))
    }
}
