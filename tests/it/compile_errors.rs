//! What the compiler says to whoever forgot something, and that it says how to mend it.

#[test]
fn the_compiler_names_the_cure() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
