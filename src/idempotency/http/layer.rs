//! [`IdempotencyLayer`].

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use crate::idempotency::Handle;
use crate::idempotency::http::service::Shared;
use crate::idempotency::http::{Builder, Idempotency, NoScope};
use crate::idempotency::store::Store;

/// Runs each request with an `Idempotency-Key` once. See the [module](crate::idempotency) for what
/// it does.
pub struct IdempotencyLayer<St> {
    shared: Arc<Shared<St>>,
}

impl<St: Store> IdempotencyLayer<St> {
    /// A layer over these records. It has to be told whose keys they are, by
    /// [`scope`](Builder::scope) or [`unscoped`](Builder::unscoped), before it can be built.
    pub fn builder(store: St) -> Builder<St, NoScope> {
        Builder::new(store)
    }

    /// Reads the layer, and waits for what runs in it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.shared.engine.handle()
    }
}

impl<St> IdempotencyLayer<St> {
    pub(super) fn new(shared: Shared<St>) -> Self {
        Self { shared: Arc::new(shared) }
    }
}

impl<S, St> Layer<S> for IdempotencyLayer<St> {
    type Service = Idempotency<S, St>;

    fn layer(&self, inner: S) -> Idempotency<S, St> {
        Idempotency::new(inner, self.shared.clone())
    }
}

impl<St> Clone for IdempotencyLayer<St> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<St> fmt::Debug for IdempotencyLayer<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyLayer").field("engine", &self.shared.engine).finish()
    }
}
