//! What came of a call: its `grpc-status`.

use http::{HeaderMap, HeaderName};

pub(super) const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// `UNKNOWN`, as which every status counts that is none.
const UNKNOWN: u16 = 2;

/// The status in the trailers, or in the headers where those are all there is. `None` where the
/// service has said nothing.
pub(in super::super) fn status(headers: &HeaderMap, trailers: Option<&HeaderMap>) -> Option<u16> {
    let value = trailers.and_then(|fields| fields.get(STATUS)).or_else(|| headers.get(STATUS))?;
    let digits = value.as_bytes();
    // `u16::from_str` alone would take a sign.
    let number = digits.iter().all(u8::is_ascii_digit);
    let number = number.then(|| value.to_str().ok()?.parse().ok()).flatten();
    Some(number.filter(|code| *code <= 16).unwrap_or(UNKNOWN))
}

/// Whether the service has decided about the request, so that trying again changes nothing.
///
/// `OK`, `INVALID_ARGUMENT`, `NOT_FOUND`, `ALREADY_EXISTS`, `FAILED_PRECONDITION`, `OUT_OF_RANGE`,
/// `UNIMPLEMENTED`.
pub(in super::super) fn is_final(status: Option<u16>) -> bool {
    matches!(status, Some(0 | 3 | 5 | 6 | 9 | 11 | 12))
}

/// Headers and trailers together, for whoever judges by both.
pub(in super::super) fn joined(headers: &HeaderMap, trailers: Option<&HeaderMap>) -> HeaderMap {
    let mut joined = headers.clone();
    for (name, value) in trailers.into_iter().flatten() {
        // In a map that is full there is room for no more: that is no reason to panic.
        let _ = joined.try_append(name.clone(), value.clone());
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_verdict_is_in_the_trailers_or_else_in_the_headers() {
        let none = HeaderMap::new();
        let (ok, internal) = (fields(&[("grpc-status", "0")]), fields(&[("grpc-status", "13")]));
        assert_eq!(status(&none, Some(&ok)), Some(0));
        assert_eq!(status(&internal, None), Some(13));
        assert_eq!(status(&internal, Some(&none)), Some(13));
        assert_eq!(status(&internal, Some(&ok)), Some(0));
        assert_eq!(status(&none, None), None);
        assert_eq!(status(&none, Some(&none)), None);
        for rubbish in ["", "+0", "-1", "17", "00x", "99999999999"] {
            assert_eq!(
                status(&none, Some(&fields(&[("grpc-status", rubbish)]))),
                Some(2),
                "{rubbish:?}"
            );
        }
    }

    #[test]
    fn these_codes_are_final_and_no_others() {
        let found: Vec<_> = (0..=20).filter(|code| is_final(Some(*code))).collect();
        assert_eq!(found, [0, 3, 5, 6, 9, 11, 12]);
        assert!(!is_final(None), "nobody knows what came of it");
    }

    #[test]
    fn headers_and_trailers_together_keep_every_value() {
        let headers = fields(&[("a", "1"), ("b", "2")]);
        let trailers = fields(&[("a", "3"), ("grpc-status", "0")]);
        let all = joined(&headers, Some(&trailers));
        assert_eq!(all, fields(&[("a", "1"), ("b", "2"), ("a", "3"), ("grpc-status", "0")]));
        assert_eq!(joined(&headers, None), headers);
    }
}
