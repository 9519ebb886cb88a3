//! [`Front`]: what a service of a layer shares with the others.

use std::sync::Arc;

use crate::sync::anchors::Anchors;

/// A layer's state, and what the layer asks of each request before it gets there.
///
/// Behind one pointer together: a service is cloned for every call that may be retried, and each
/// pointer is a reference to count. The state has pointers of its own for the permits, which need
/// not know what is asked.
#[derive(Debug)]
pub(crate) struct Front<A, F> {
    pub(crate) state: Anchors<A>,
    pub(crate) find: F,
}

impl<A, F> Front<A, F> {
    pub(crate) fn new(state: impl Into<Arc<A>>, find: F) -> Arc<Self> {
        Arc::new(Self { state: Anchors::new(state), find })
    }
}
