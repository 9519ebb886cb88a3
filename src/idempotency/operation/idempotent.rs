//! [`Idempotent`].

use std::ops::{Deref, DerefMut};

/// An answer, and whether it is that of an earlier request with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Idempotent<T> {
    answer: T,
    replayed: bool,
}

impl<T> Idempotent<T> {
    /// What the service has just answered.
    pub(super) fn fresh(answer: T) -> Self {
        Self { answer, replayed: false }
    }

    /// What it answered before.
    pub(super) fn replay(answer: T) -> Self {
        Self { answer, replayed: true }
    }

    /// Whether the request did not run, because it had run before.
    #[must_use]
    pub fn replayed(&self) -> bool {
        self.replayed
    }

    /// The answer alone.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.answer
    }
}

impl<T> Deref for Idempotent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.answer
    }
}

impl<T> DerefMut for Idempotent<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.answer
    }
}
