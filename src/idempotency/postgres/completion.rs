//! The parameters of a completion, which two transactions have in common: the store's own, and the
//! handler's.

use std::time::Duration;

use bytes::Bytes;
use tokio_postgres::types::Type;

use super::statements::{Owner, Parameter, Payload};
use super::{MAX_PAYLOAD, held, seconds};
use crate::idempotency::{Claim, StoreError, StoredOutcome};

pub(super) struct Completion<'a> {
    key: &'a [u8],
    owner: Owner,
    fence: i64,
    retention: f64,
    format: i16,
    tag: i32,
    payload: Option<Payload<'a>>,
}

impl<'a> Completion<'a> {
    pub(super) fn new(
        claim: &'a Claim,
        outcome: &'a StoredOutcome,
        retention: Duration,
    ) -> Result<Self, StoreError> {
        let (size, max) = (outcome.payload.as_ref().map_or(0, Bytes::len), MAX_PAYLOAD);
        if size > max {
            return Err(StoreError::TooLarge { size, max });
        }
        let (key, owner, fence) = held(claim);
        Ok(Self {
            key,
            owner,
            fence,
            retention: seconds(retention),
            format: outcome.format.into(),
            tag: outcome.tag.into(),
            payload: outcome.payload.as_ref().map(|payload| Payload(payload)),
        })
    }

    pub(super) fn parameters(&self) -> [Parameter<'_>; 7] {
        [
            (&self.key, Type::BYTEA),
            (&self.owner, Type::UUID),
            (&self.fence, Type::INT8),
            (&self.retention, Type::FLOAT8),
            (&self.format, Type::INT2),
            (&self.tag, Type::INT4),
            (&self.payload, Type::BYTEA),
        ]
    }
}
