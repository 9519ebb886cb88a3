use super::*;
use http::Request;
use proptest::prelude::*;
use serde_json::{Map, Value};

fn same(one: &str, other: &str) -> bool {
    read(one.as_bytes()).expect(one) == read(other.as_bytes()).expect(other)
}

#[test]
fn space_order_and_escapes_make_no_difference() {
    assert!(same(" [ 1 , 2 ]\r\n", "[1,\t2]"));
    assert!(same("{}", " { } ") && same("[]", "[ ]"));
    assert!(same(r#"{"a":1,"b":{"d":2,"c":3}}"#, r#"{"b":{"c":3,"d":2},"a":1}"#));
    assert!(same(r#""\u0041\n\/\"\\""#, r#""A\u000a/\u0022\u005C""#));
    assert!(same(r#""\b\f\r\t""#, r#""\u0008\u000C\u000d\u0009""#));
    assert!(same(r#""\ud83d\ude00""#, "\"\u{1f600}\""));
    assert!(same(r#"{"\u0061":1}"#, r#"{"a":1}"#));
}

#[test]
fn what_is_something_else_stays_something_else() {
    let numbers = ["0", "-0", "0.0", "1", "1.0", "1e0", "1E0", "10e-1", "1.00"];
    let large = ["18446744073709551617", "18446744073709551618", "0.1", "0.10000000000000000001"];
    let texts = ["\"1\"", "\"\"", "\"true\"", "true", "false", "null", "[]", "{}", "[[]]", "[{}]"];
    let nested =
        ["[1,2]", "[2,1]", "[[1],2]", "[1,[2]]", r#"{"a":1}"#, r#"{"a":[1]}"#, r#"["a",1]"#];
    let all: Vec<_> = [&numbers[..], &large, &texts, &nested].concat();
    for (at, one) in all.iter().enumerate() {
        for other in &all[..at] {
            assert!(!same(one, other), "{one} is taken for {other}");
        }
    }
}

#[test]
fn what_is_no_json_or_says_a_name_twice_has_no_form() {
    let none = [
        "",
        " ",
        "nul",
        "True",
        "[1",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "01",
        "-",
        "+1",
        ".1",
        "1.",
        "1e",
        "1e+",
        "0x1",
        "1 2",
        "\"",
        "\"\n\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u00g0\"",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":2}",
        "[{\"a\":1,\"b\":2,\"a\":3}]",
        "\u{feff}1",
        "1\u{a0}",
    ];
    for text in none {
        assert_eq!(read(text.as_bytes()), None, "{text}");
    }
    assert_eq!(read(b"\"\xff\""), None);
    // In two objects it is said once in each.
    assert!(read(br#"[{"a":1},{"a":{"a":2}}]"#).is_some());
}

#[test]
fn texts_may_be_nested_as_deep_as_128() {
    let nested = |depth: usize, open: &str, close: &str| {
        read(format!("{}1{}", open.repeat(depth), close.repeat(depth)).as_bytes())
    };
    assert!(nested(128, "[", "]").is_some() && nested(128, "{\"a\":", "}").is_some());
    assert_eq!(nested(129, "[", "]"), None);
    assert_eq!(nested(129, "{\"a\":", "}"), None);
    assert_eq!(nested(1_000_000, "[", ""), None);
}

#[test]
fn only_what_is_said_to_be_json_is_read_as_that() {
    let of = |headers: &[(&str, &str)]| {
        let request = headers
            .iter()
            .fold(Request::post("/"), |request, (name, value)| request.header(*name, *value));
        canonical(&request.body(()).unwrap().into_parts().0, &Bytes::from_static(b"1")).is_some()
    };
    for json in ["application/json", "Application/JSON ; charset=utf-8", "application/vnd.api+json"]
    {
        assert!(of(&[("content-type", json)]), "{json}");
    }
    for other in ["text/plain", "application/jsonx", "application/json-seq", "json"] {
        assert!(!of(&[("content-type", other)]), "{other}");
    }
    assert!(!of(&[]));
    assert!(!of(&[("content-type", "application/json"), ("content-encoding", "gzip")]));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,2}", inner), 0..4)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn every_way_to_write_a_value_has_one_form(value in values()) {
        let form = read(value.to_string().as_bytes());
        prop_assert!(form.is_some());
        prop_assert_eq!(form, read(format!("{value:#}").as_bytes()));
    }

    #[test]
    fn two_values_have_two_forms(one in values(), other in values()) {
        let texts = [&one, &other].map(Value::to_string);
        let forms = texts.each_ref().map(|text| read(text.as_bytes()));
        // As texts: as floats, 0 is -0.
        prop_assert_eq!(texts[0] == texts[1], forms[0] == forms[1]);
    }

    // But for names said twice, which a library takes, and numbers too large, which it does not.
    #[test]
    fn what_is_json_is_what_a_library_takes_for_it(
        text in prop_oneof![
            r#"[\[\]{}",:0-9eE.+\-tfn\\u \n]{0,12}"#,
            values().prop_map(|value| value.to_string()),
            (values(), any::<prop::sample::Index>(), any::<char>()).prop_map(|(value, at, with)| {
                let mut text: Vec<char> = value.to_string().chars().collect();
                let at = at.index(text.len());
                text[at] = with;
                text.into_iter().collect()
            }),
        ]
    ) {
        match (read(text.as_bytes()), serde_json::from_str::<Value>(&text)) {
            (Some(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{text}: {error}"),
            (None, Ok(_)) => prop_assert!(text.contains('{'), "{}", text),
            _ => {}
        }
    }
}
