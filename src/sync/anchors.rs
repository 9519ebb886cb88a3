//! [`Anchors`]: shared ownership that many threads take and give up without a common counter.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::sync::stripes::Sparse;

/// A shared value, with a reference count for each of a few threads.
///
/// Every call in flight owns the state of its layer. Were that one `Arc`, two threads would write
/// its count in turn, and pass its cache line to and fro, for calls that have nothing else in
/// common: twice as many threads would make fewer calls. So a call owns the anchor of its thread,
/// and the anchor owns the state.
///
/// An anchor is made when its thread first comes, and at once for whoever builds the layer: where
/// there is one thread, its first call allocates no more than its second. The alternative, to keep the state for ever and
/// borrow it, would leak the layers that come and go.
pub(crate) struct Anchors<T> {
    shared: Arc<T>,
    anchors: Sparse<Arc<Anchor<T>>>,
}

/// One thread's way to a shared value. Aligned, so that its count stands alone.
#[repr(align(64))]
pub(crate) struct Anchor<T>(Arc<T>);

impl<T> Anchors<T> {
    pub(crate) fn new(shared: impl Into<Arc<T>>) -> Self {
        let anchors = Self { shared: shared.into(), anchors: Sparse::default() };
        anchors.mine();
        anchors
    }

    /// The anchor of this thread.
    #[inline(always)]
    pub(crate) fn mine(&self) -> &Arc<Anchor<T>> {
        self.anchors.mine(|| self.anchor())
    }

    /// For those who stay.
    pub(crate) fn shared(&self) -> &Arc<T> {
        &self.shared
    }

    #[cold]
    fn anchor(&self) -> Arc<Anchor<T>> {
        Arc::new(Anchor(self.shared.clone()))
    }
}

impl<T> Deref for Anchors<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.shared
    }
}

impl<T> Deref for Anchor<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Anchors<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_last_anchor_lets_go_is_dropped() {
        let shared = Arc::new(());
        let anchors: Anchors<()> = Anchors::new(shared.clone());
        let here = anchors.mine().clone();
        let there =
            std::thread::scope(|scope| scope.spawn(|| anchors.mine().clone()).join().unwrap());
        drop(anchors);
        drop(here);
        assert_eq!(Arc::strong_count(&shared), 2, "a call of the other thread is in flight");
        drop(there);
        assert_eq!(Arc::strong_count(&shared), 1);
    }
}
