//! How keys are written: against a library for structured fields.

use buttress::idempotency::{KeyError, KeySyntax};
use proptest::prelude::*;
use sfv::{BareItem, Item, Parser};

/// What the library says of a value that has no white space around it.
fn expected(value: &str) -> Result<String, KeyError> {
    match Parser::new(value).parse::<Item>().map(|item| item.bare_item) {
        _ if value.is_empty() => Err(KeyError::Empty),
        Ok(BareItem::String(key)) if key.as_str().is_empty() => Err(KeyError::Empty),
        Ok(BareItem::String(key)) => Ok(key.as_str().to_owned()),
        _ => Err(KeyError::Malformed),
    }
}

/// Text that gets deep into the grammar.
fn item_like() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\"",
        "\"k\"",
        "\"k\"",
        "\\\"",
        "\\\\",
        "\\",
        ";",
        ";a",
        ";a=",
        "; b=",
        ";*=",
        "=",
        ",",
        "1",
        "-",
        "0.125",
        "999999999999999",
        "1000000000000000",
        "999999999999.5",
        ":",
        ":aGk=:",
        ":aGk:",
        ":a:",
        "?1",
        "?0",
        "?",
        "@1",
        "@",
        "%\"",
        "%c3%bc",
        "%C3",
        "%\"x\"",
        "tok/en:*",
        "A",
        "a",
        " ",
        "\t",
        "(",
        ")",
        "\u{e9}",
    ]);
    prop::collection::vec(pieces, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn a_strict_key_is_what_a_library_reads(value in prop_oneof![item_like(), "\"k\";a=[ -~]{0,9}"]) {
        let value = value.trim_matches([' ', '\t']);
        prop_assert_eq!(KeySyntax::Strict.parse(value.as_bytes()), expected(value));
        if value.starts_with('"') {
            prop_assert_eq!(KeySyntax::Lenient.parse(value.as_bytes()), expected(value));
        }
    }
}
