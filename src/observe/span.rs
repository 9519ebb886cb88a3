//! Without `tracing` there are no spans for tasks to belong to.

/// The future as it is.
pub(crate) fn in_current_span<F: Future>(future: F) -> F {
    future
}
