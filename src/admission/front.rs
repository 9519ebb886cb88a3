//! [`Front`]: what a service of a layer shares with the others.

use std::sync::Arc;

/// A layer's state, and what the layer asks of each request before it gets there.
///
/// Behind one pointer together: a service is cloned for every call that may be retried, and each
/// pointer is a reference to count. The state has one of its own for the permits, which need not
/// know what is asked.
#[derive(Debug)]
pub(crate) struct Front<A, F> {
    pub(crate) state: Arc<A>,
    pub(crate) find: F,
}

impl<A, F> Front<A, F> {
    pub(crate) fn new(state: Arc<A>, find: F) -> Arc<Self> {
        Arc::new(Self { state, find })
    }
}
