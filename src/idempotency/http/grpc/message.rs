//! The one message of a unary call.

use crate::idempotency::Fingerprint;
use crate::idempotency::identity::Hasher;

/// The flag that says whether it is compressed, and the length of what follows.
const PREFIX: usize = 1 + 4;

/// The recipe of a message's fingerprint.
const RECIPE: &[u8] = b"idem/fp/grpc/v1\0";

/// Whether `body` is exactly one message with its prefix. None, or two, is no unary call.
pub(in super::super) fn is_one_message(body: &[u8]) -> bool {
    let Some((prefix, message)) = body.split_at_checked(PREFIX) else { return false };
    let [flag, length @ ..] = prefix else { return false };
    let length = length.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    *flag <= 1 && length == message.len() as u64
}

/// The fingerprint of a call: its message, with the flag that says whether it is compressed. No
/// metadata: a deadline is shorter with each attempt.
pub(in super::super) fn fingerprint(
    body: &[u8],
    operation: Option<(&str, &str)>,
    secret: Option<&[u8]>,
) -> Fingerprint {
    let mut hasher = Hasher::new(RECIPE, secret);
    hasher.part(body);
    if let Some((method, path)) = operation {
        hasher.part(method.as_bytes()).part(path.as_bytes());
    }
    Fingerprint::from_bytes(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idempotency::identity::hex;

    #[test]
    fn a_unary_call_has_one_message() {
        for one in [&b"\0\0\0\0\0"[..], b"\x01\0\0\0\0", b"\0\0\0\0\x02hi", b"\x01\0\0\0\x02hi"] {
            assert!(is_one_message(one), "{one:?}");
        }
        let mut long = vec![0, 0, 1, 0, 2];
        long.resize(5 + 65_538, 7);
        assert!(is_one_message(&long));
        let not_one = [
            &b""[..],
            b"\0\0\0\0",
            b"\x02\0\0\0\0",
            b"\x80\0\0\0\0",
            b"\0\0\0\0\x02h",
            b"\0\0\0\0\x02hi!",
            b"\0\0\0\0\0\0\0\0\0\0",
            b"\0\xff\xff\xff\xff",
        ];
        for body in not_one {
            assert!(!is_one_message(body), "{body:?}");
        }
    }

    // Worked out with Python's hashlib and hmac.
    #[test]
    fn the_fingerprint_is_the_published_recipe() {
        let of =
            |body: &[u8], operation, secret| hex(fingerprint(body, operation, secret).as_bytes());
        assert_eq!(of(b"\0\0\0\0\x02hi", None, None), PLAIN);
        assert_eq!(of(b"\x01\0\0\0\x02hi", None, None), COMPRESSED);
        assert_eq!(
            of(b"\0\0\0\0\x02hi", Some(("POST", "/shop.Orders/Create")), Some(b"secret")),
            KEYED
        );
    }
    const PLAIN: &str = "5d0315453bc4b02b8efc9bf048cc13b6c3b3159eb543c2d8faf6aa89ce644eca";
    const COMPRESSED: &str = "3c36008b7fa78f42f4ae0a9415c15452af7a9bd747449fc5fb16f2a7fea7ac4d";
    const KEYED: &str = "386afcf15a7a246d4e2f86674ee80bac25758bf3e448f54944a1e227a949e2d4";
}
