//! `Idempotency-Key`: the name of one effect, however often it is asked for.

use std::io::Write;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::http::REFUSAL;
use crate::rejected::Reason;
use crate::rng;

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whether there is a key: one, and not an empty one. A server that finds two of them, or nothing,
/// may run the request as one without.
pub(crate) fn is_keyed(headers: &HeaderMap) -> bool {
    is_keyed_by(headers, &IDEMPOTENCY_KEY)
}

/// The same where the key has another header.
pub(crate) fn is_keyed_by(headers: &HeaderMap, header: &HeaderName) -> bool {
    let mut keys = headers.get_all(header).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) => !matches!(key.as_bytes().trim_ascii(), b"" | b"\"\""),
        _ => false,
    }
}

/// Whether the server says that it runs the request with this key. Asked again it may have the
/// answer.
pub(crate) fn is_in_progress<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::CONFLICT
        && response.headers().get(REFUSAL).is_some_and(|code| code == Reason::InProgress.code())
}

/// A fresh key: a random UUID (RFC 9562, version 4), written as a string of RFC 8941.
pub(crate) fn fresh() -> HeaderValue {
    value(&quoted_uuid())
}

/// The same without the quotes, for servers that take them for a part of the key.
pub(crate) fn fresh_bare() -> HeaderValue {
    let [_, uuid @ .., _] = &quoted_uuid();
    value(uuid)
}

/// Sensitive: `Debug` hides it, and HPACK does not spend its table on what comes once.
fn value(key: &[u8]) -> HeaderValue {
    let mut value = HeaderValue::from_bytes(key).expect("digits, dashes and quotes");
    value.set_sensitive(true);
    value
}

fn quoted_uuid() -> [u8; 38] {
    const VERSION: u128 = 0xf000 << 64;
    const VARIANT: u128 = 0xc000 << 48;
    let id = rng::identifier() & !VERSION & !VARIANT | 0x4000 << 64 | 0x8000 << 48;
    let mut text = [0; 38];
    write!(
        &mut text[..],
        "\"{:08x}-{:04x}-{:04x}-{:04x}-{:012x}\"",
        id >> 96,
        id >> 80 & 0xffff,
        id >> 64 & 0xffff,
        id >> 48 & 0xffff,
        id & 0xffff_ffff_ffff
    )
    .expect("32 digits, 4 dashes and 2 quotes");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_bare_key_is_the_same_without_quotes() {
        let bare = fresh_bare();
        let bare = bare.to_str().unwrap();
        assert_eq!((bare.len(), bare.matches('"').count()), (36, 0));
    }

    #[test]
    fn no_debug_output_shows_a_fresh_key() {
        assert_eq!(format!("{:?} {:?}", fresh(), fresh_bare()), "Sensitive Sensitive");
    }

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
