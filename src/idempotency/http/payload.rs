//! [`Payload`]: an answer as it is stored.

#[cfg(any(test, fuzzing, buttress_fuzz))]
pub(crate) mod model;
#[cfg(test)]
mod tests;

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::idempotency::{StoreError, StoredOutcome};

/// An answer with all that is replayed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// `None` where there is nothing in them.
    pub(super) trailers: Option<HeaderMap>,
}

// Format 1: `u16 status | fields | fields | u64 length, body`, where fields are
// `u32 count | count x (u16 length, name | u32 length, value)`, the headers first and then the
// trailers. All numbers are big endian. Values are bytes: they need not be UTF-8.
const STATUS: usize = 2;
const COUNT: usize = 4;
const FIELD: usize = 2 + 4;
const BODY: usize = 8;

impl Payload {
    /// In format 1. What comes out is an allocation of its own: a body that was a small part of a
    /// large buffer does not keep that for as long as the retention.
    pub(super) fn encode(&self) -> Bytes {
        let none = HeaderMap::new();
        let trailers = self.trailers.as_ref().unwrap_or(&none);
        let length =
            STATUS + fields_len(&self.headers) + fields_len(trailers) + BODY + self.body.len();
        let mut out = Vec::with_capacity(length);
        out.extend(self.status.as_u16().to_be_bytes());
        encode_fields(&self.headers, &mut out);
        encode_fields(trailers, &mut out);
        out.extend((self.body.len() as u64).to_be_bytes());
        out.extend_from_slice(&self.body);
        out.into()
    }

    /// The body is a slice of the stored record, not a copy.
    pub(super) fn decode(outcome: &StoredOutcome) -> Result<Self, StoreError> {
        if outcome.format != StoredOutcome::FORMAT {
            return Err(StoreError::UnsupportedFormat(outcome.format));
        }
        let corrupt = || StoreError::Corrupt("an answer that is not in format 1".into());
        let payload = outcome.payload.clone().ok_or_else(corrupt)?;
        decode(payload).ok_or_else(corrupt)
    }
}

fn fields_len(fields: &HeaderMap) -> usize {
    let field =
        |(name, value): (&HeaderName, &HeaderValue)| FIELD + name.as_str().len() + value.len();
    COUNT + fields.iter().map(field).sum::<usize>()
}

fn encode_fields(fields: &HeaderMap, out: &mut Vec<u8>) {
    // A map holds 32,768 fields at most, and a name has 65,535 bytes at most.
    let count = u32::try_from(fields.len()).expect("not so many fields");
    out.extend(count.to_be_bytes());
    for (name, value) in fields {
        let name = name.as_str().as_bytes();
        out.extend(u16::try_from(name.len()).expect("not so long a name").to_be_bytes());
        out.extend(name);
        out.extend(u32::try_from(value.len()).expect("no field of 4 GiB").to_be_bytes());
        out.extend(value.as_bytes());
    }
}

/// Allocates no more than the payload has bytes for, whatever it says that it has.
fn decode(mut payload: Bytes) -> Option<Payload> {
    let status = StatusCode::from_u16(payload.try_get_u16().ok()?).ok()?;
    let headers = decode_fields(&mut payload)?;
    let trailers = decode_fields(&mut payload)?;
    let length = payload.try_get_u64().ok()?;
    if length != payload.len() as u64 {
        return None;
    }
    let trailers = (!trailers.is_empty()).then_some(trailers);
    Some(Payload { status, headers, body: payload, trailers })
}

fn decode_fields(payload: &mut Bytes) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    for _ in 0..payload.try_get_u32().ok()? {
        let length = payload.try_get_u16().ok()?.into();
        let name = HeaderName::from_lowercase(&take(payload, length)?).ok()?;
        let length = usize::try_from(payload.try_get_u32().ok()?).ok()?;
        let value = HeaderValue::from_bytes(&take(payload, length)?).ok()?;
        // More fields than a map can hold is no panic.
        fields.try_append(name, value).ok()?;
    }
    Some(fields)
}

fn take(payload: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= payload.len()).then(|| payload.split_to(length))
}
