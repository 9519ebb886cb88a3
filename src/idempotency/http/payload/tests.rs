use super::*;
use proptest::prelude::*;

fn fields(pairs: &[(&str, &[u8])]) -> HeaderMap {
    let field = |(name, value): &(&str, &[u8])| {
        (name.parse().unwrap(), HeaderValue::from_bytes(value).unwrap())
    };
    pairs.iter().map(field).collect()
}

fn decode(bytes: impl Into<Bytes>) -> Result<Payload, StoreError> {
    Payload::decode(&StoredOutcome::new(200, bytes))
}

// Written out by hand: it is what lies in stores.
const FORMAT_1: &[u8] = b"\x00\xc9\
    \0\0\0\x02\0\x01a\0\0\0\x02\xffz\0\x01a\0\0\0\0\
    \0\0\0\x01\0\x0bgrpc-status\0\0\0\x010\
    \0\0\0\0\0\0\0\x04body";

#[test]
fn format_1_is_what_lies_in_stores() {
    let payload = Payload {
        status: StatusCode::CREATED,
        headers: fields(&[("a", b"\xffz"), ("a", b"")]),
        body: Bytes::from_static(b"body"),
        trailers: Some(fields(&[("grpc-status", b"0")])),
    };
    assert_eq!(payload.encode(), FORMAT_1);
    assert_eq!(decode(FORMAT_1).unwrap(), payload);
    assert_eq!(StoredOutcome::FORMAT, 1);
}

#[test]
fn nothing_is_kept_as_nothing() {
    let mut payload = decode(&b"\0\xcc\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"[..]).unwrap();
    assert_eq!(payload.status, StatusCode::NO_CONTENT);
    assert!(payload.headers.is_empty() && payload.body.is_empty());
    assert_eq!(payload.trailers, None);
    let without = payload.encode();
    payload.trailers = Some(HeaderMap::new());
    assert_eq!(payload.encode(), without, "empty trailers are none");
}

#[test]
fn an_encoded_answer_keeps_nothing_else_alive() {
    let large = Bytes::from(vec![7; 1 << 20]);
    let body = large.slice(..4);
    let payload =
        Payload { status: StatusCode::OK, headers: HeaderMap::new(), body, trailers: None };
    let encoded = payload.encode();
    let decoded = decode(encoded.clone()).unwrap();
    drop(payload);
    assert!(large.is_unique(), "the record shares the buffer that the body came from");
    drop(decoded);
    assert!(encoded.is_unique());
    assert_eq!(encoded.len(), 2 + 4 + 4 + 8 + 4);
}

#[test]
fn another_format_is_refused_and_not_guessed_at() {
    for format in [0, 2, 255] {
        let mut outcome = StoredOutcome::new(201, FORMAT_1);
        outcome.format = format;
        let error = Payload::decode(&outcome).unwrap_err();
        assert!(matches!(error, StoreError::UnsupportedFormat(found) if found == format));
    }
}

#[test]
fn what_makes_no_sense_is_corrupt() {
    let wrong = [
        &b""[..],
        // A status below 100, and one above 999.
        b"\0\x63\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x03\xe8\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        // A count, and lengths, of which there is not nearly so much.
        b"\0\xc8\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\xc8\0\0\0\x01\xff\xffa",
        b"\0\xc8\0\0\0\x01\0\x01a\xff\xff\xff\xffv",
        b"\0\xc8\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        // An empty name, one in capitals, and a value with a line break.
        b"\0\xc8\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\xc8\0\0\0\x01\0\x01A\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\xc8\0\0\0\x01\0\x01a\0\0\0\x01\n\0\0\0\0\0\0\0\0\0\0\0\0",
        // Something after the end.
        b"\0\xc8\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0x",
    ];
    for bytes in wrong {
        assert!(matches!(decode(bytes), Err(StoreError::Corrupt(_))), "{bytes:?}");
    }
    let tombstone = Payload::decode(&StoredOutcome::tombstone(200));
    assert!(matches!(tombstone, Err(StoreError::Corrupt(_))));
}

#[test]
fn more_fields_than_a_map_holds_are_no_panic() {
    let mut bytes = b"\0\xc8\0\x01\0\0".to_vec();
    for number in 0..65_536 {
        bytes.extend(b"\0\x05");
        bytes.extend(format!("{number:05}").bytes());
        bytes.extend(b"\0\0\0\0");
    }
    bytes.extend([0; 12]);
    assert!(matches!(decode(bytes), Err(StoreError::Corrupt(_))));
}

fn some_fields() -> impl Strategy<Value = Vec<model::Field>> {
    prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..6)), 0..12)
}

proptest! {
    #[test]
    fn what_is_encoded_comes_back(
        status in any::<u16>(),
        headers in some_fields(),
        body in any::<Vec<u8>>(),
        trailers in some_fields(),
    ) {
        model::encode(status, &headers, body, &trailers);
    }

    #[test]
    fn no_bytes_make_it_panic(
        format in prop_oneof![Just(1), any::<u8>()],
        bytes in any::<Vec<u8>>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        model::decode(format, &bytes);
        let mut near = FORMAT_1.to_vec();
        let at = at.index(near.len());
        near[at] = byte;
        model::decode(format, &near);
    }
}
