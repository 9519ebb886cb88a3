//! [`OutcomeCodec`]: what an outcome is to the store.

use bytes::Bytes;

use crate::error::BoxError;
use crate::idempotency::Disposition;

/// Says which outcomes are kept as the answer to every repetition, and how they are written.
///
/// `JsonCodec` is one, behind the feature `serde`. What is written is read for as long as the
/// retention, by other versions of the program too.
///
/// An outcome that cannot be written is kept as a tombstone: a repetition is told that it ran, and
/// does not run. One that cannot be read is
/// [`OperationError::Store`](super::OperationError::Store), and does not run either.
pub trait OutcomeCodec<Res, Err>: Send + Sync + 'static {
    /// What becomes of the record. Default: what the service answers is kept, and an error
    /// releases the key, so that the next attempt runs.
    fn classify(&self, outcome: &Result<Res, Err>) -> Disposition {
        if outcome.is_ok() { Disposition::Store } else { Disposition::Release }
    }

    /// The outcome in bytes. Asked of those that are kept.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn encode(&self, outcome: &Result<Res, Err>) -> Result<Bytes, BoxError>;

    /// The outcome from its bytes.
    ///
    /// # Errors
    ///
    /// They make no sense.
    fn decode(&self, bytes: Bytes) -> Result<Result<Res, Err>, BoxError>;
}
