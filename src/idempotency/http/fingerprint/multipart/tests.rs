use super::*;
use http::Request;
use proptest::prelude::*;

fn of(types: &[&str], body: &str) -> Option<(String, Vec<u8>)> {
    let request = types
        .iter()
        .fold(Request::post("/"), |request, value| request.header("content-type", *value));
    let parts = request.body(()).unwrap().into_parts().0;
    let (content_type, form) = canonical(&parts, &Bytes::copy_from_slice(body.as_bytes()))?;
    Some((String::from_utf8(content_type.unwrap()).unwrap(), form))
}

/// The pieces of a form.
fn pieces(body: &str) -> Option<Vec<String>> {
    let (_, form) = of(&["multipart/mixed; boundary=b"], body)?;
    let mut rest = &form[..];
    let mut pieces = Vec::new();
    while let Some((length, after)) = rest.split_at_checked(8) {
        let length = u64::from_be_bytes(length.try_into().unwrap()).try_into().unwrap();
        let (piece, after) = after.split_at(length);
        pieces.push(String::from_utf8(piece.to_vec()).unwrap());
        rest = after;
    }
    assert!(rest.is_empty());
    Some(pieces)
}

#[test]
fn the_pieces_are_what_stands_between_the_boundaries() {
    assert_eq!(pieces("--b\r\n1\r\n--b\r\n2\r\n--b--").unwrap(), ["", "1", "2", ""]);
    assert_eq!(
        pieces("pre\r\n--b \t\r\n1\r\n--b-- \r\npost\r\n").unwrap(),
        ["pre", "1", "post\r\n"]
    );
    assert_eq!(pieces("--b\r\n\r\n--b--\r\n").unwrap(), ["", "", ""]);
    assert_eq!(pieces("--b\r\n--b--").unwrap(), ["", "", ""]);
    assert_eq!(pieces("--b--").unwrap(), ["", ""]);
}

#[test]
fn a_boundary_stands_alone_on_its_line() {
    let inside = "--b\r\n x--b\r\n--bb\r\n--bx--\r\n-b\r\n--b-\r\n--B\r\n--b";
    let whole = inside.replacen("--b\r\n", "", 1) + "x";
    assert_eq!(pieces(&format!("{inside}x\r\n--b--")).unwrap(), ["", &whole, ""]);
    assert_eq!(pieces("--b\r\n\n--b--\n\r\n--b--").unwrap(), ["", "\n--b--\n", ""]);
}

#[test]
fn a_broken_body_has_no_form() {
    for body in
        ["", "--b", "--b\r\n", "--b\r\n1", "--b\r\n1\r\n--b", "--b\r\n1\r\n--b\r\n", "--x--"]
    {
        assert_eq!(pieces(body), None, "{body:?}");
    }
}

#[test]
fn the_boundary_is_read_as_a_parameter() {
    let boundary = |value: &str| {
        split(value.as_bytes()).map(|(kind, boundary)| {
            (String::from_utf8(kind).unwrap(), String::from_utf8(boundary).unwrap())
        })
    };
    let is = |kind: &str, boundary: &str| Some((kind.to_owned(), boundary.to_owned()));
    assert_eq!(boundary("multipart/mixed;boundary=b"), is("multipart/mixed", "b"));
    assert_eq!(
        boundary("Multipart/Related ; BOUNDARY=b; type=\"a;b\""),
        is("multipart/related;type=\"a;b\"", "b")
    );
    assert_eq!(
        boundary(r#"multipart/mixed; boundary="a;\"b\\c""#),
        is("multipart/mixed", r#"a;"b\c"#)
    );
    assert_eq!(
        boundary(r#"multipart/mixed; x="\";boundary=no"; boundary=b"#),
        is(r#"multipart/mixed;x="\";boundary=no""#, "b")
    );
    let longest = "b".repeat(70);
    assert_eq!(
        boundary(&format!("multipart/mixed; boundary={longest}")),
        is("multipart/mixed", &longest)
    );
    let none = [
        "multipart/mixed",
        "multipart/mixed; boundary",
        "multipart/mixed; boundary=",
        "multipart/mixed; boundary=\"\"",
        "multipart/mixed; boundary=a; boundary=b",
        "text/plain; boundary=b",
        "",
        &format!("multipart/mixed; boundary={longest}b"),
    ];
    for value in none {
        assert_eq!(boundary(value), None, "{value}");
    }
}

#[test]
fn a_type_that_is_missing_or_said_twice_is_no_multipart() {
    let body = "--b--";
    assert!(of(&["multipart/mixed; boundary=b"], body).is_some());
    assert_eq!(of(&[], body), None);
    assert_eq!(of(&["multipart/mixed; boundary=b", "multipart/mixed; boundary=b"], body), None);
}

proptest! {
    #[test]
    fn the_boundary_makes_no_difference_and_the_parts_do(
        parts in prop::collection::vec("[a-z\r\n -]{0,9}", 1..4),
        others in prop::collection::vec("[a-z\r\n -]{0,9}", 1..4),
        [one, two] in prop::array::uniform2("[A-Z]{1,8}"),
    ) {
        let form = |parts: &[String], boundary: &str| {
            let body = parts.iter().fold(String::new(), |body, part| body + &format!("--{boundary}\r\n{part}\r\n"));
            of(&[&format!("multipart/mixed; boundary={boundary}")], &format!("{body}--{boundary}--"))
        };
        let first = form(&parts, &one);
        prop_assert!(first.is_some());
        prop_assert_eq!(&first, &form(&parts, &two));
        prop_assert_eq!(parts == others, first == form(&others, &two));
    }
}
