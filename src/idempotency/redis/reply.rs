//! What the scripts answer, read with suspicion: a record may have been written by anybody.

use std::time::Duration;

use bytes::Bytes;
use redis::Value;

use crate::idempotency::{
    Begin, BeginRequest, Claim, Fence, Fenced, RecordState, Snapshot, StoreError, StoredOutcome,
};

pub(super) fn begin(reply: Value, request: &BeginRequest) -> Result<Begin, StoreError> {
    let mut fields = Fields::of(reply)?;
    Ok(match fields.text()?.as_str() {
        "A" => {
            let fence = Fence::new(fields.number()?);
            let attempt = fields.number()?;
            Begin::Acquired(Claim::new(request.key, request.owner, fence, attempt))
        }
        "P" => {
            let lease_remaining = Duration::from_micros(fields.number()?);
            Begin::InProgress { lease_remaining, attempt: fields.number()? }
        }
        "C" => {
            let (format, tag) = (fields.number()?, fields.number()?);
            Begin::Completed(StoredOutcome { format, tag, payload: fields.bytes()? })
        }
        "U" => Begin::Indeterminate,
        "M" => Begin::Mismatch,
        _ => return Err(nonsense()),
    })
}

pub(super) fn fenced(reply: &Value) -> Result<Fenced, StoreError> {
    Ok(if flag(reply)? { Fenced::Applied } else { Fenced::Lost })
}

pub(super) fn flag(reply: &Value) -> Result<bool, StoreError> {
    match reply {
        Value::Int(flag) => Ok(*flag == 1),
        _ => Err(nonsense()),
    }
}

pub(super) fn snapshot(reply: Value) -> Result<Option<Snapshot>, StoreError> {
    if matches!(reply, Value::Nil) {
        return Ok(None);
    }
    let mut fields = Fields::of(reply)?;
    let state = match fields.text()?.as_str() {
        "I" => RecordState::InFlight,
        "C" => RecordState::Completed,
        "T" => RecordState::Tombstone,
        "U" => RecordState::Indeterminate,
        _ => return Err(nonsense()),
    };
    let (attempt, fence) = (fields.number()?, Fence::new(fields.number()?));
    let effects = fields.number::<u8>()? == 1;
    let lease_remaining = fields.optional()?.map(Duration::from_micros);
    let mut snapshot =
        Snapshot::new(state, attempt, fence, Duration::from_micros(fields.number()?));
    snapshot.effects = effects;
    snapshot.lease_remaining = lease_remaining;
    snapshot.payload_len = fields.number()?;
    snapshot.tag = fields.optional()?;
    Ok(Some(snapshot))
}

/// The elements of an array, one after the other.
struct Fields(std::vec::IntoIter<Value>);

impl Fields {
    fn of(reply: Value) -> Result<Self, StoreError> {
        match reply {
            Value::Array(fields) => Ok(Self(fields.into_iter())),
            _ => Err(nonsense()),
        }
    }

    fn bytes(&mut self) -> Result<Option<Bytes>, StoreError> {
        match self.0.next() {
            Some(Value::BulkString(bytes)) => Ok(Some(bytes.into())),
            // What an array ends with is cut off where it is nil.
            Some(Value::Nil) | None => Ok(None),
            Some(Value::Int(number)) => Ok(Some(number.to_string().into())),
            _ => Err(nonsense()),
        }
    }

    fn text(&mut self) -> Result<String, StoreError> {
        let bytes = self.bytes()?.ok_or_else(nonsense)?;
        String::from_utf8(bytes.into()).map_err(|_| nonsense())
    }

    fn number<N: std::str::FromStr>(&mut self) -> Result<N, StoreError> {
        self.optional()?.ok_or_else(nonsense)
    }

    fn optional<N: std::str::FromStr>(&mut self) -> Result<Option<N>, StoreError> {
        let Some(bytes) = self.bytes()? else { return Ok(None) };
        let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(nonsense)
    }
}

fn nonsense() -> StoreError {
    StoreError::Corrupt("a field of the record is missing, or is not what it has to be".into())
}
