//! The planted faults of `scripts/mutants`: each is declared to the compiler once, so that a slip
//! of the pen is no fault without effect, and stands in the sources once, so that its name tells
//! where.

use crate::SRC;
use crate::source::Source;

/// What follows each `before` in the text, up to the quote that ends it.
fn quoted<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split_once('"')).map(|(name, _)| name)
}

/// What is wrong with the faults in these sources, by these declarations.
fn objections(manifest: &str, sources: &[Source]) -> Vec<String> {
    let lines = sources.iter().flat_map(|source| &source.raw);
    let planted: Vec<_> = lines.flat_map(|line| quoted(line, "mutant = \"")).collect();
    let declared: Vec<_> = quoted(manifest, "cfg(mutant, values(\"").collect();
    let mut found = Vec::new();
    for name in declared.iter().chain(&planted).collect::<std::collections::BTreeSet<_>>() {
        let times = |names: &[&str]| names.iter().filter(|other| *other == name).count();
        let kebab = |part: &str| {
            let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            !part.is_empty() && part.bytes().all(letter)
        };
        if (times(&declared), times(&planted)) != (1, 1) {
            let [declared, planted] = [times(&declared), times(&planted)];
            found.push(format!("{name}: declared {declared} times, planted {planted} times"));
        }
        if !name.split('-').all(kebab) {
            found.push(format!("{name}: not in kebab case"));
        }
    }
    found
}

#[test]
fn each_planted_fault_is_declared_once_and_stands_in_one_place() {
    let manifest = r#"'cfg(mutant, values("a-1"))', 'cfg(mutant, values("b"))',
        'cfg(mutant, values("b"))', 'cfg(mutant, values("gone"))', 'cfg(mutant, values("E-f"))'"#;
    let texts = [
        "if a && !cfg!(mutant = \"a-1\") {}\n#[cfg(not(mutant = \"b\"))]\nf();",
        "#[cfg(mutant = \"new\")]\n#[cfg(any(mutant = \"E-f\", mutant = \"E-f\"))]",
    ];
    assert_eq!(
        objections(manifest, &texts.map(|text| Source::new("src/x.rs", text))),
        [
            "E-f: declared 1 times, planted 2 times",
            "E-f: not in kebab case",
            "b: declared 2 times, planted 1 times",
            "gone: declared 1 times, planted 0 times",
            "new: declared 0 times, planted 1 times",
        ]
    );
    let found = objections(include_str!("../../Cargo.toml"), &Source::tree(SRC));
    assert!(found.is_empty(), "{}", found.join("\n"));
}
