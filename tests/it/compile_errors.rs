//! What the compiler says to whoever forgot something, and that it says how to mend it.
//!
//! The texts around our own are rustc's, and change with its releases: they are compared only
//! under the release that wrote them. After a new one, or a new implementation of a trait that
//! they list:
//!
//! ```sh
//! TRYBUILD=overwrite cargo test --all-features --test it compile_errors
//! ```

use std::process::Command;

const WRITTEN_BY: &str = "rustc 1.95.";

#[test]
fn the_compiler_names_the_cure() {
    let rustc = Command::new("rustc").arg("--version").output().unwrap().stdout;
    if rustc.starts_with(WRITTEN_BY.as_bytes()) {
        trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
    }
}

/// What must not get lost when the texts are written anew.
#[test]
fn the_cure_is_in_the_text() {
    let foreign = include_str!("../ui/foreign_error.stderr");
    assert!(foreign.contains("put `.layer(buttress::LiftLayer)` last in the `ServiceBuilder`"));
    let body = include_str!("../ui/body_that_cannot_be_replayed.stderr");
    assert!(body.contains("put `.map_request(|request: http::Request<_>| request.map("));
    let router = include_str!("../ui/router_without_respond.stderr");
    assert!(router.contains("wrap the whole stack instead: `buttress::http::respond(stack)`"));
    let number = include_str!("../ui/deadline_of_a_number.stderr");
    assert!(number.contains("pass a closure `|request: &u32| -> Option<Deadline>"));
    let headers = include_str!("../ui/deadline_layer_of_a_number.stderr");
    assert!(headers.contains("implement `buttress::timeout::Carrier` for a request type of your"));
    let closure = include_str!("../ui/deadline_closure_of_another_request.stderr");
    assert!(closure.contains("expected closure signature `for<'a> fn(&'a u32) -> _`"));
}
