use super::*;
use crate::http::every_reason;
use crate::rejected::Rejected;

fn said(rejected: Rejected) -> Response<Bytes> {
    refusal(&Problem::new(rejected))
}

#[test]
fn a_problem_is_trailers_only() {
    for reason in every_reason() {
        let response = said(Rejected::new(reason).named("layer-7"));
        assert_eq!(response.status(), 200);
        assert!(response.body().is_empty());
        let headers = response.headers();
        assert_eq!(headers["content-type"], "application/grpc");
        assert_eq!(headers["grpc-status"], code(reason).to_string());
        assert_eq!(headers["buttress-refusal"], reason.code());
        let message = headers["grpc-message"].to_str().unwrap();
        assert!(message.starts_with(reason.text()));
        // What gRPC would have percent-encoded.
        assert!(message.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'%'));
        assert!(!format!("{headers:?}").contains("layer-7"));
        assert_eq!(response.extensions().get::<Rejected>().unwrap().name(), Some("layer-7"));
    }
}

#[test]
fn the_codes_are_those_of_the_contract() {
    let codes = [
        (Reason::KeyMissing, 3),
        (Reason::KeyInvalid, 3),
        (Reason::BodyRead, 3),
        (Reason::ScopeMissing, 7),
        (Reason::RequestTooLarge, 8),
        (Reason::OutcomeUnknown, 9),
        (Reason::ResultUnavailable, 9),
        (Reason::FingerprintMismatch, 9),
        (Reason::InProgress, 10),
        (Reason::StoreUnavailable, 14),
        (Reason::StoreFull, 14),
        (Reason::Overloaded, 14),
    ];
    for (reason, expected) in codes {
        assert_eq!(code(reason), expected, "{reason}");
    }
}

#[cfg(feature = "grpc")]
#[test]
fn the_codes_are_those_of_tonic_s_statuses() {
    for reason in every_reason() {
        let status = tonic::Status::from(Rejected::new(reason));
        assert_eq!(status.code() as i32, i32::from(code(reason)), "{reason}");
    }
}

#[test]
fn what_passes_soon_says_when() {
    let pushback = |rejected| said(rejected).headers().get(PUSHBACK).cloned();
    for reason in every_reason().filter(|reason| *reason as usize >= Reason::KeyMissing as usize) {
        let passes =
            matches!(reason, Reason::InProgress | Reason::StoreUnavailable | Reason::StoreFull);
        let expected = passes.then(|| HeaderValue::from_static("1000"));
        assert_eq!(pushback(Rejected::new(reason)), expected, "{reason}");
    }
    let after = |wait| pushback(Rejected::new(Reason::InProgress).after(wait)).unwrap();
    assert_eq!(after(Duration::from_micros(2_000_001)), "2001");
    assert_eq!(after(Duration::MAX), "2147483647");
}

#[cfg(feature = "grpc")]
#[test]
fn the_details_are_read_by_tonic() {
    let problem = Problem::new(Rejected::new(Reason::ResultUnavailable)).of_original(201);
    let status = tonic::Status::from_header_map(refusal(&problem).headers()).unwrap();
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    let message = status.message();
    assert_eq!(message, format!("{}: {}", problem.title(), problem.detail()));
    assert_eq!(status.details(), details(&problem, message));
}

// Written out by hand from google/rpc/status.proto and error_details.proto.
#[test]
fn the_details_are_an_error_info() {
    let problem = Problem::new(Rejected::new(Reason::ResultUnavailable)).of_original(201);
    let mut expected = b"\x08\x09\x12\x02hi\x1a\x62".to_vec();
    expected.extend(b"\x0a\x28type.googleapis.com/google.rpc.ErrorInfo\x12\x36");
    expected.extend(b"\x0a\x12RESULT_UNAVAILABLE\x12\x08buttress");
    expected.extend(b"\x1a\x16\x0a\x0foriginal_status\x12\x03201");
    assert_eq!(details(&problem, "hi"), expected);
}

#[test]
fn long_texts_have_long_lengths() {
    let mut out = Vec::new();
    for number in [0, 0x7f, 0x80, 300, 0x3fff, 0x4000] {
        varint(number, &mut out);
    }
    assert_eq!(out, b"\0\x7f\x80\x01\xac\x02\xff\x7f\x80\x80\x01");
}

// RFC 4648, section 10.
#[test]
fn base64_without_padding() {
    let examples = [
        ("", ""),
        ("f", "Zg"),
        ("fo", "Zm8"),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg"),
        ("fooba", "Zm9vYmE"),
        ("foobar", "Zm9vYmFy"),
    ];
    for (bytes, text) in examples {
        assert_eq!(base64(bytes.as_bytes()), text);
    }
    assert_eq!(base64(b"\xfb\xff\xfe"), "+//+");
}
