//! Without `tracing` there are no spans for tasks to belong to.

/// The future as it is.
pub(crate) fn in_current_span<F: Future>(future: F) -> F {
    future
}

/// The future as it is.
pub(crate) fn in_span_of_claim<F: Future>(_: [u8; 4], _: u32, _: u64, future: F) -> F {
    future
}
