//! [`ObserveLayer`] and its builder.

use std::sync::Arc;

use tower_layer::Layer;

use crate::classify::DefaultClassifier;
use crate::observe::service::Shared;
use crate::observe::{Identity, Observe, Observed, identity_setters};
use crate::sync::anchors::Anchors;

/// Reports the calls of a service.
#[derive(Debug)]
pub struct ObserveLayer<C = DefaultClassifier> {
    shared: Arc<Anchors<Shared<C>>>,
}

impl ObserveLayer {
    /// Reports every call to `observer`, under the name `observe`.
    #[must_use]
    pub fn new(observer: impl Observe + 'static) -> Self {
        Self::builder(observer).build()
    }

    /// As [`new`](Self::new), with a name and a classifier.
    pub fn builder(observer: impl Observe + 'static) -> Builder {
        let mut identity = Identity::default();
        identity.observe(observer);
        Builder { identity, classifier: DefaultClassifier }
    }
}

impl<C> Clone for ObserveLayer<C> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S, C> Layer<S> for ObserveLayer<C> {
    type Service = Observed<S, C>;

    fn layer(&self, inner: S) -> Observed<S, C> {
        Observed::new(inner, self.shared.clone())
    }
}

/// Configures an [`ObserveLayer`].
#[derive(Debug)]
#[must_use]
pub struct Builder<C = DefaultClassifier> {
    identity: Identity,
    classifier: C,
}

impl<C> Builder<C> {
    identity_setters!();

    /// Judges the outcomes. Default: [`DefaultClassifier`], which asks for an error that is
    /// [`Rejectable`](crate::Rejectable) or `Infallible`.
    pub fn classify<N>(self, classifier: N) -> Builder<N> {
        Builder { identity: self.identity, classifier }
    }

    /// The layer.
    pub fn build(self) -> ObserveLayer<C> {
        let emitter = self.identity.emitter("observe", None);
        let shared = Anchors::new(Shared { emitter, classifier: self.classifier });
        ObserveLayer { shared: Arc::new(shared) }
    }
}
