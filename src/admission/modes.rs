//! What becomes of a call beyond the limit: [`Refuse`] or [`Queue`].

use std::sync::Arc;

use crate::deadline::NoDeadline;

/// Calls beyond the limit are refused at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refuse;

/// Calls beyond the limit wait, at most until the deadline that `D` finds in the request.
#[derive(Debug)]
pub struct Queue<D = NoDeadline> {
    deadline: Arc<D>,
}

impl<D> Queue<D> {
    pub(crate) fn until(deadline: D) -> Self {
        Self { deadline: Arc::new(deadline) }
    }

    pub(crate) fn deadline(&self) -> &D {
        &self.deadline
    }
}

impl<D> Clone for Queue<D> {
    fn clone(&self) -> Self {
        Self { deadline: self.deadline.clone() }
    }
}
