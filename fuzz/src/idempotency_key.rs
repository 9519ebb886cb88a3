//! Idempotency keys: the header's value, against a library for structured fields, and against the
//! rule for bare keys as it is written down.

use buttress::idempotency::{KeyError, KeySyntax};
use sfv::{BareItem, Item, Parser};

pub(crate) fn run(data: &[u8]) {
    let value = trimmed(data);
    let expected = match Parser::new(value).parse::<Item>().map(|item| item.bare_item) {
        _ if value.is_empty() => Err(KeyError::Empty),
        Ok(BareItem::String(key)) if key.as_str().is_empty() => Err(KeyError::Empty),
        Ok(BareItem::String(key)) => Ok(key.as_str().to_owned()),
        _ => Err(KeyError::Malformed),
    };
    let strict = KeySyntax::Strict.parse(data);
    assert_eq!(strict, expected);

    let lenient = KeySyntax::Lenient.parse(data);
    if value.is_empty() || value[0] == b'"' {
        assert_eq!(lenient, strict);
    } else {
        let bare =
            value.iter().all(|byte| (0x21..=0x7e).contains(byte) && !b"\",;\\".contains(byte));
        let text = std::str::from_utf8(value).ok().filter(|_| bare);
        assert_eq!(lenient, text.map(str::to_owned).ok_or(KeyError::Malformed));
    }
    if let Ok(key) = lenient {
        let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
        assert_eq!(KeySyntax::Strict.parse(quoted.as_bytes()), Ok(key));
    }
}

fn trimmed(data: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = data.iter().position(|byte| !is_space(byte)).unwrap_or(data.len());
    let end = data.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &data[start..end]
}
