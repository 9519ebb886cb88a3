//! `Idempotency-Key`: the name of one effect, however often it is asked for.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::rng;

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whether there is a key: one, and not an empty one. A server that finds two of them, or nothing,
/// may run the request as one without.
pub(crate) fn is_keyed(headers: &HeaderMap) -> bool {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) => !matches!(key.as_bytes().trim_ascii(), b"" | b"\"\""),
        _ => false,
    }
}

/// A fresh key: a random UUID (RFC 9562, version 4), written as a string of RFC 8941.
pub(super) fn fresh() -> HeaderValue {
    const VERSION: u128 = 0xf000 << 64;
    const VARIANT: u128 = 0xc000 << 48;
    let id = rng::identifier() & !VERSION & !VARIANT | 0x4000 << 64 | 0x8000 << 48;
    let key = format!(
        "\"{:08x}-{:04x}-{:04x}-{:04x}-{:012x}\"",
        id >> 96,
        id >> 80 & 0xffff,
        id >> 64 & 0xffff,
        id >> 48 & 0xffff,
        id & 0xffff_ffff_ffff
    );
    HeaderValue::try_from(key).expect("digits, dashes and quotes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_key_is_a_quoted_uuid_of_version_4_and_no_two_are_alike() {
        let keys: Vec<String> = (0..1000).map(|_| fresh().to_str().unwrap().to_owned()).collect();
        for key in &keys {
            let uuid = key.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            let parts: Vec<&str> = uuid.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert!(parts.concat().bytes().all(|digit| b"0123456789abcdef".contains(&digit)));
            assert!(parts[2].starts_with('4') && "89ab".contains(&parts[3][..1]), "{key}");
        }
        // Each of the 122 free bits is drawn.
        for digit in [1, 10, 16, 21, 25, 36] {
            let seen: HashSet<_> = keys.iter().map(|key| &key[digit..=digit]).collect();
            assert_eq!(seen.len(), 16, "digit {digit}");
        }
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    }
}
