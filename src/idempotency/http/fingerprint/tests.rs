use super::*;
use crate::idempotency::identity::hex;
use http::Request;
use http::header::{AUTHORIZATION, COOKIE, IF_MATCH, USER_AGENT};

fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::post(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// The request of the worked examples.
fn example() -> Parts {
    let entity_tags = [("if-match", "\"x\""), ("if-match", "\"y\"")];
    parts("/orders?a=1&b=2", &[JSON, ("content-encoding", "gzip"), entity_tags[0], entity_tags[1]])
}

fn said(fingerprinter: &Fingerprinter, parts: &Parts, body: &'static str) -> String {
    hex(fingerprinter.of(parts, &Bytes::from_static(body.as_bytes()), None, None).as_bytes())
}

// The hashes of this file were worked out with Python's hashlib and hmac over the recipes as they
// are written down.
#[test]
fn the_raw_fingerprint_is_the_published_recipe() {
    let (raw, body) = (Fingerprinter::raw(), Bytes::from_static(b"body"));
    let of = |operation, secret| hex(raw.of(&example(), &body, operation, secret).as_bytes());
    assert_eq!(of(None, None), RAW);
    assert_eq!(of(None, Some(b"secret")), RAW_KEYED);
    assert_eq!(of(Some(("POST", "/orders")), None), RAW_WITH_OPERATION);
    assert_eq!(said(&raw, &parts("/", &[]), ""), RAW_OF_NOTHING);
}
const RAW: &str = "c4621311e287a0ad2bd7f97300af4d1dfdcdd59ce4c2d5b65b0ca9efd675bde6";
const RAW_KEYED: &str = "040e26dab5684f9c100f362ddee2e849858c51f29df0685c69f351a1b12e43f9";
const RAW_WITH_OPERATION: &str = "40342c90d0e8aa825f9aa05fcf63c2fd131524e9959b8a52472a4aa895cfac09";
const RAW_OF_NOTHING: &str = "a81b6eb306d5fff96e5eaf86f1d317588e2e3fad30629db43e77e5596014e391";

#[test]
fn further_headers_come_with_all_their_values_in_any_order_of_naming() {
    let none = HeaderName::from_static("x-none");
    let one = Fingerprinter::raw().header(IF_MATCH).header(none.clone());
    let other = Fingerprinter::raw().header(none).header(IF_MATCH).header(IF_MATCH);
    assert_eq!(said(&one, &example(), "body"), RAW_WITH_HEADERS);
    assert_eq!(said(&other, &example(), "body"), RAW_WITH_HEADERS);
}
const RAW_WITH_HEADERS: &str = "1b9fb87e77163d5c7e341a7e8385461bbfc167bf1c5c5dbab8de26f35cc43c41";

#[test]
fn a_closure_says_all_there_is_to_say() {
    let closure = Fingerprinter::closure(|parts, body| {
        assert_eq!((parts.uri.path(), &body[..]), ("/orders", b"body".as_slice()));
        "made"
    });
    assert_eq!(said(&closure, &example(), "body"), CLOSURE);
    assert_ne!(said(&closure.header(IF_MATCH), &example(), "body"), CLOSURE);
}
const CLOSURE: &str = "d85b495154002d5e581ed06de8b3799e8f1c68934b6889bd6be8add95c39fe8a";

#[test]
fn the_canonical_json_fingerprint_is_the_published_recipe() {
    let json = Fingerprinter::json_canonical();
    let parts = parts("/orders?q", &[JSON]);
    let text = "\n{\"b\" : \"\\u00fc\\\"\", \"a\":[1.0,true,false, null] }";
    assert_eq!(said(&json, &parts, text), JSON_FORM);
    assert_eq!(said(&json, &parts, r#"{"a":[1.0,true,false,null],"b":"ü\u0022"}"#), JSON_FORM);
    assert_eq!(said(&json, &parts, "{\"a\":"), JSON_BYTES);
}
const JSON_FORM: &str = "596a678e0ba908c29427c59d7e441d011b5c937904bc100d601da1e7106d6e91";
const JSON_BYTES: &str = "904d05d18983fc563c5132fce329c4e6d703be6d383599dcdc52471e05070d75";

const PARTS_1: &str = "--x1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x1\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n2\r\n\r\n--x1--\r\n";
const PARTS_2: &str = "--y=2\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--y=2 \t\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n2\r\n\r\n--y=2--";

#[test]
fn the_multipart_fingerprint_is_the_published_recipe() {
    let multipart = Fingerprinter::multipart();
    let typed = |value: &str| parts("/", &[("content-type", value)]);
    let first = typed("multipart/form-data; boundary=x1; charset=utf-8");
    let second = typed("Multipart/Form-Data;charset=utf-8 ; Boundary=\"\\y=2\"");
    assert_eq!(said(&multipart, &first, PARTS_1), MULTIPART);
    assert_eq!(said(&multipart, &second, PARTS_2), MULTIPART);
    assert_ne!(said(&Fingerprinter::raw(), &first, PARTS_1), MULTIPART);
}
const MULTIPART: &str = "9b56ef342d75b308f2907d1af0362668d07df2407bac341dce149b174325b658";

#[test]
fn each_part_of_a_request_is_in_the_raw_fingerprint() {
    let raw = Fingerprinter::raw();
    let all = [
        said(&raw, &parts("/?a", &[JSON]), "body"),
        said(&raw, &parts("/?b", &[JSON]), "body"),
        said(&raw, &parts("/?a", &[]), "body"),
        said(&raw, &parts("/?a", &[("content-type", "application/json ;q=1")]), "body"),
        said(&raw, &parts("/?a", &[JSON, ("content-encoding", "br")]), "body"),
        said(&raw, &parts("/?a", &[JSON]), "body "),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[..at].contains(one), "{at} is as one before it");
    }
    assert_eq!(
        said(&raw, &parts("/x?a", &[JSON]), "body"),
        all[0],
        "the path is in the key of the record"
    );
}

#[test]
fn what_changes_from_attempt_to_attempt_is_not_in_it() {
    let raw = Fingerprinter::raw();
    let varying = [AUTHORIZATION, USER_AGENT, COOKIE].map(|name| name.to_string());
    let varying = varying.iter().map(String::as_str).chain([
        "date",
        "accept",
        "accept-language",
        "traceparent",
        "x-request-id",
        "content-length",
        "host",
    ]);
    for name in varying {
        assert_eq!(
            said(&raw, &parts("/", &[JSON, (name, "changed")]), "body"),
            said(&raw, &parts("/", &[JSON]), "body"),
            "{name}"
        );
    }
}

#[test]
fn several_lines_of_a_header_are_one_list() {
    let raw = Fingerprinter::raw();
    let encoded = |values: &[&str]| {
        let headers: Vec<_> = values.iter().map(|value| ("content-encoding", *value)).collect();
        said(&raw, &parts("/", &headers), "body")
    };
    assert_eq!(encoded(&["gzip", "br"]), encoded(&["gzip, br"]));
    assert_ne!(encoded(&["gzip", "br"]), encoded(&["gzip"]));
}

#[test]
fn no_form_takes_a_request_for_one_of_another_form() {
    let (plain, body) = (parts("/", &[("content-type", "text/plain")]), "body");
    let forms = [
        Fingerprinter::raw(),
        Fingerprinter::multipart(),
        Fingerprinter::json_canonical(),
        Fingerprinter::closure(|_, body| body.clone()),
    ];
    let hashes: Vec<_> = forms.iter().map(|form| said(form, &plain, body)).collect();
    for (at, one) in hashes.iter().enumerate() {
        assert!(!hashes[..at].contains(one), "{:?}", forms[at]);
    }
}

#[test]
fn debug_says_the_form_and_the_headers() {
    let said = format!("{:?}", Fingerprinter::closure(|_, _| "").header(IF_MATCH));
    assert_eq!(said, "Fingerprinter { form: closure, headers: [\"if-match\"] }");
}
