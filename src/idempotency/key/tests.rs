use super::*;
use proptest::prelude::*;

fn lenient(value: &str) -> Result<String, KeyError> {
    KeySyntax::Lenient.parse(value.as_bytes())
}

fn strict(value: &str) -> Result<String, KeyError> {
    KeySyntax::Strict.parse(value.as_bytes())
}

const MALFORMED: Result<String, KeyError> = Err(KeyError::Malformed);

#[test]
fn quoted_and_bare_spellings_of_a_text_are_one_key() {
    for key in ["8e03978e-40d5-43dd-bc93-6894a57f9324", "a", "!#$%&'()*+-./:<=>?@[]^_`{|}~"] {
        assert_eq!(lenient(key), Ok(key.to_owned()));
        assert_eq!(lenient(&format!("\"{key}\"")), Ok(key.to_owned()));
        assert_eq!(strict(&format!("\"{key}\"")), Ok(key.to_owned()));
        assert_eq!(strict(key), MALFORMED);
    }
}

#[test]
fn white_space_around_the_value_is_no_part_of_it() {
    for value in [" k", "k ", "\tk\t", " \t \"k\" \t"] {
        assert_eq!(lenient(value), Ok("k".to_owned()), "{value:?}");
    }
    assert_eq!(lenient("\" k \""), Ok(" k ".to_owned()));
}

#[test]
fn a_bare_key_is_visible_ascii_without_four_characters() {
    for byte in 0..=255_u8 {
        let allowed = (0x21..=0x7e).contains(&byte) && !b"\",;\\".contains(&byte);
        let key = KeySyntax::Lenient.parse(&[b'a', byte, b'z']);
        assert_eq!(key.is_ok(), allowed, "{byte:#x}");
    }
}

#[test]
fn a_quoted_key_is_a_string_of_structured_fields() {
    for byte in 0..=255_u8 {
        let allowed = (0x20..=0x7e).contains(&byte) && !b"\"\\".contains(&byte);
        let key = KeySyntax::Strict.parse(&[b'"', b'a', byte, b'z', b'"']);
        assert_eq!(key.is_ok(), allowed, "{byte:#x}");
        let escaped = KeySyntax::Strict.parse(&[b'"', b'\\', byte, b'"']);
        assert_eq!(escaped.is_ok(), b"\"\\".contains(&byte), "{byte:#x}");
    }
    assert_eq!(strict(r#""a\"b\\c""#), Ok(r#"a"b\c"#.to_owned()));
    for open in ["\"", "\"a", "\"a\\", "\"a\\\"", "\"a\"b", "\"a\"\"b\"", "\"a\" b"] {
        assert_eq!(lenient(open), MALFORMED, "{open}");
    }
}

#[test]
fn parameters_are_parsed_and_ignored() {
    let right = "a|  a|*|a-b_c.d*9|a;b;a|a=1|a=-1|a=999999999999999|a=0.1|a=-999999999999.999|\
        a=\"x;y\\\"\"|a=tok/en:*|a=*|a=::|a=:aGk=:|a=:aGk:|a=:aGkh:|a=:YQ==:|a=:YQ=:|a=?0|a=?1|\
        a=@1659578233|a=@-1|a=%\"f%c3%bc\"|a=%\"\"|a=1; b=?0 ";
    for parameters in right.split('|') {
        let value = format!("\"k\";{parameters}");
        assert_eq!(strict(&value), Ok("k".to_owned()), "{value}");
    }
    let wrong = ";|; | ;a|;A|;1|;a=|;a= 1|;a =1|;a=-|;a=1000000000000000|;a=1.|;a=.1|;a=1.2345|\
        ;a=1000000000000.1|;a=\"x|;a=:a:|;a=:YQ=:=:|;a=:YQ===:|;a=:=:|;a=:aGk|;a=:a_k=:|;a=?2|;a=?|\
        ;a=@1.0|;a=@|;a=%\"%C3%BC\"|;a=%\"%c3\"|;a=%\"%c\"|;a=%x|;a=%\"\u{fc}\"|;a=(1)|, \"l\"|;a=1,|\
        ;a\t;b";
    for parameters in wrong.split('|') {
        let value = format!("\"k\"{parameters}");
        assert_eq!(lenient(&value), MALFORMED, "{value}");
    }
}

#[test]
fn nothing_is_no_key() {
    for value in ["", " ", "\t", "\"\"", "\"\";a=1"] {
        assert_eq!(lenient(value), Err(KeyError::Empty), "{value:?}");
        assert_eq!(strict(value), Err(KeyError::Empty), "{value:?}");
    }
}

proptest! {
    #[test]
    fn every_text_that_can_be_quoted_is_read_back(text in "[ -~]{1,300}") {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        prop_assert_eq!(strict(&format!("\"{quoted}\"")), Ok(text.clone()));
        let bare = !text.contains([' ', '"', ',', ';', '\\']);
        prop_assert_eq!(lenient(&text) == Ok(text.clone()), bare);
    }

    #[test]
    fn strict_takes_less_than_lenient_and_the_same_for_it(value in prop_oneof![any::<Vec<u8>>(), "[\"\\\\;=a1 -~]{0,9}".prop_map(String::into_bytes)]) {
        if let Ok(key) = KeySyntax::Strict.parse(&value) {
            prop_assert_eq!(KeySyntax::Lenient.parse(&value), Ok(key));
        }
    }
}
