//! [`JsonCodec`].

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::BoxError;
use crate::idempotency::{Disposition, OutcomeCodec};

/// Keeps outcomes as JSON: `{"Ok": answer}` or `{"Err": error}`.
///
/// Both types are read again by whatever version of the program comes next, for as long as the
/// retention: a field that is added has a default, and none is renamed.
///
/// ```
/// use buttress::idempotency::{Disposition, JsonCodec};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Receipt { number: u64 }
///
/// #[derive(Serialize, Deserialize)]
/// enum PaymentError { Declined, BankAway }
///
/// // A declined payment is final, one that did not get to the bank is not.
/// let codec = JsonCodec::<Receipt, PaymentError>::new().classify(|outcome| match outcome {
///     Ok(_) | Err(PaymentError::Declined) => Disposition::Store,
///     Err(PaymentError::BankAway) => Disposition::Release,
/// });
/// # let _ = codec;
/// ```
pub struct JsonCodec<Res, Err> {
    classify: Arc<Classify<Res, Err>>,
}

type Classify<Res, Err> = dyn Fn(&Result<Res, Err>) -> Disposition + Send + Sync;

impl<Res, Err> JsonCodec<Res, Err> {
    /// Keeps what the service answers. An error releases the key.
    #[must_use]
    pub fn new() -> Self {
        let classify = |outcome: &Result<Res, Err>| match outcome {
            Ok(_) => Disposition::Store,
            Err(_) => Disposition::Release,
        };
        Self { classify: Arc::new(classify) }
    }

    /// Keeps answers and errors alike: a request runs once, whatever comes of it.
    #[must_use]
    pub fn store_everything() -> Self {
        Self { classify: Arc::new(|_| Disposition::Store) }
    }

    /// Judges each outcome by itself.
    #[must_use]
    pub fn classify(
        mut self,
        classify: impl Fn(&Result<Res, Err>) -> Disposition + Send + Sync + 'static,
    ) -> Self {
        self.classify = Arc::new(classify);
        self
    }
}

impl<Res, Err> OutcomeCodec<Res, Err> for JsonCodec<Res, Err>
where
    Res: Serialize + DeserializeOwned + 'static,
    Err: Serialize + DeserializeOwned + 'static,
{
    fn classify(&self, outcome: &Result<Res, Err>) -> Disposition {
        (self.classify)(outcome)
    }

    fn encode(&self, outcome: &Result<Res, Err>) -> Result<Bytes, BoxError> {
        Ok(serde_json::to_vec(outcome)?.into())
    }

    fn decode(&self, bytes: Bytes) -> Result<Result<Res, Err>, BoxError> {
        Ok(serde_json::from_slice(&bytes)?)
    }
}

impl<Res, Err> Default for JsonCodec<Res, Err> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Res, Err> Clone for JsonCodec<Res, Err> {
    fn clone(&self) -> Self {
        Self { classify: self.classify.clone() }
    }
}

impl<Res, Err> fmt::Debug for JsonCodec<Res, Err> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsonCodec")
    }
}
