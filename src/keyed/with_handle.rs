//! [`WithHandle`]: a layer with what its user wants to find again.

use std::fmt;

use tower_layer::Layer;

/// A layer and something to read or steer it by, for [`Handle::get`](super::Handle::get) and
/// [`Builder::keep_while`](super::Builder::keep_while): the layers of a stack cannot be got out of
/// it again.
#[derive(Clone)]
pub struct WithHandle<L, H> {
    layer: L,
    handle: H,
}

impl<L, H> WithHandle<L, H> {
    /// The layer, and what belongs to it.
    pub fn new(layer: L, handle: H) -> Self {
        Self { layer, handle }
    }

    /// What belongs to the layer.
    pub fn handle(&self) -> &H {
        &self.handle
    }
}

impl<S, L: Layer<S>, H> Layer<S> for WithHandle<L, H> {
    type Service = L::Service;

    fn layer(&self, inner: S) -> L::Service {
        self.layer.layer(inner)
    }
}

impl<L, H: fmt::Debug> fmt::Debug for WithHandle<L, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithHandle").field("handle", &self.handle).finish_non_exhaustive()
    }
}
