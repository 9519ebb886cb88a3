//! [`Disposition`]: what becomes of a record whose request has run.

/// What becomes of the record once the request has run.
///
/// An outcome policy says so for each outcome, and over HTTP a handler may, by putting one into the
/// extensions of its response: that wins over the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)]
pub enum Disposition {
    /// The answer is kept: every repetition gets it again.
    Store,
    /// The record is deleted: a repetition runs anew. Once the handler has marked where its effects
    /// begin, this is [`Indeterminate`](Self::Indeterminate).
    Release,
    /// Nobody knows what came of it: a repetition is refused.
    Indeterminate,
    /// It ran, and its answer is not kept: a repetition is told so.
    Tombstone,
}
