//! The encoding against itself: for the tests, and for `fuzz/`.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::idempotency::http::payload::Payload;
use crate::idempotency::{StoreError, StoredOutcome};

/// A stored record of this format, whatever it is made of.
///
/// # Panics
///
/// If it is read where it should not be, or if what is read does not come back.
pub fn decode(format: u8, bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let mut outcome = StoredOutcome::new(200, bytes.clone());
    outcome.format = format;
    match Payload::decode(&outcome) {
        Ok(payload) => {
            assert_eq!(format, 1);
            let again = payload.encode();
            // The fields of one name come to stand side by side; nothing is lost or added.
            assert!(again.len() == bytes.len() && sorted(&again) == sorted(&bytes));
            round_trip(&payload);
        }
        Err(StoreError::UnsupportedFormat(found)) => assert!(found == format && format != 1),
        Err(StoreError::Corrupt(_)) => assert_eq!(format, 1),
        Err(other) => panic!("{other}"),
    }
}

fn sorted(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.sort_unstable();
    bytes
}

/// A field by the number of its name, with its value.
pub type Field = (u8, Vec<u8>);

/// An answer that is made of these comes back as it was, and no beginning of it is an answer.
///
/// # Panics
///
/// If not.
pub fn encode(status: u16, headers: &[Field], body: Vec<u8>, trailers: &[Field]) {
    let trailers = Some(fields(trailers)).filter(|fields| !fields.is_empty());
    let status = StatusCode::from_u16(100 + status % 900).expect("a status");
    let payload = Payload { status, headers: fields(headers), body: body.into(), trailers };
    round_trip(&payload);
    let encoded = payload.encode();
    for end in 0..encoded.len() {
        let cut = StoredOutcome::new(200, encoded.slice(..end));
        assert!(matches!(Payload::decode(&cut), Err(StoreError::Corrupt(_))), "cut at {end}");
    }
    let longer = StoredOutcome::new(200, [&encoded[..], b"x"].concat());
    assert!(matches!(Payload::decode(&longer), Err(StoreError::Corrupt(_))));
}

/// Few names, so that they meet; bytes that no value may have are left out.
fn fields(of: &[Field]) -> HeaderMap {
    let name = |number: u8| HeaderName::try_from(format!("x-{}", number % 8)).expect("a name");
    let value =
        |(number, bytes): &Field| Some((name(*number), HeaderValue::from_bytes(bytes).ok()?));
    of.iter().filter_map(value).collect()
}

fn round_trip(payload: &Payload) {
    let outcome = StoredOutcome::new(payload.status.as_u16(), payload.encode());
    assert_eq!(Payload::decode(&outcome).expect("what was encoded"), *payload);
}
