//! `tests/SPEC.md` names tests that exist.

use std::fs;
use std::path::Path;

/// All Rust sources below `folder`, in one text.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}

/// What stands in backticks and reads like a test or a module of tests.
fn named(page: &str) -> Vec<&str> {
    let quoted = page.split('`').skip(1).step_by(2);
    let like_a_test = |name: &&str| {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c);
        name.chars().all(word) && (name.contains("::") || name.matches('_').count() > 2)
    };
    quoted.filter(like_a_test).collect()
}

#[test]
fn the_table_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("tests/SPEC.md")).unwrap();
    let models = sources(&root.join("src"));
    let exists = |tests: &Path, name: &str| {
        let path = tests.join(name.replace("::", "/"));
        let (module, test) = name.rsplit_once("::").unwrap_or(("contract", name));
        let module = tests.join(module.replace("::", "/"));
        // A clause that is run against several stores is generic.
        let has =
            |text: &str| ["(", "<"].iter().any(|end| text.contains(&format!("fn {test}{end}")));
        let beside = fs::read_to_string(module.with_extension("rs"))
            .or_else(|_| fs::read_to_string(module.join("mod.rs")));
        path.is_dir()
            || path.with_extension("rs").is_file()
            || beside.is_ok_and(|text| has(&text))
            || (!name.contains("::") && has(&models))
    };
    let binaries =
        ["it", "simulation", "idempotency"].map(|binary| root.join("tests").join(binary));
    let mut missing = Vec::new();
    let names = named(&page);
    for name in &names {
        let found = binaries.iter().any(|tests| exists(tests, name));
        if !found {
            missing.push(*name);
        }
    }
    assert!(names.len() > 100, "it reads the table: {names:?}");
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}
