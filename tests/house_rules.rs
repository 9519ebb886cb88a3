//! The rules of the house, read off the sources: which part may know which, what belongs in which
//! file, how long a file gets, and what does not pass at all.
//!
//! Every rule is tried on a text that breaks it before it is held against the tree.

#[path = "house_rules/imports.rs"]
mod imports;
#[path = "house_rules/mutants.rs"]
mod mutants;
#[path = "house_rules/rooms.rs"]
mod rooms;
#[path = "house_rules/source.rs"]
mod source;

use source::{Finding, Source, has_word};

type Rule = fn(&Source) -> Vec<Finding>;

/// Fails for every place under `folders` that breaks the rule.
#[track_caller]
fn holds(rule: Rule, folders: &[&str]) {
    let found: Vec<String> = Source::tree(folders)
        .iter()
        .flat_map(|source| rule(source).into_iter().map(|f| format!("{}:{f:?}", source.path)))
        .collect();
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}

/// Fails unless the rule finds fault with exactly these lines of a planted text.
#[track_caller]
fn finds(rule: Rule, path: &str, text: &str, lines: &[usize]) {
    let found = rule(&Source::new(path, text));
    let at: Vec<usize> = found.iter().map(|finding| finding.line).collect();
    assert_eq!(at, lines, "in the planted {path}: {found:?}");
}

const ALL: &[&str] = &["src", "tests", "examples", "benches", "fuzz"];
const SRC: &[&str] = &["src"];

const FILE: usize = 400;
const FUNCTION: usize = 60;

#[test]
fn a_file_has_at_most_400_lines() {
    let rule: Rule = |source| {
        let lines = source.raw.len();
        if lines <= FILE {
            return Vec::new();
        }
        vec![Finding::new(lines, format!("a file of {lines} lines; split it at {FILE}"))]
    };
    finds(rule, "src/x.rs", &"\n".repeat(FILE), &[]);
    finds(rule, "src/x.rs", &"\n".repeat(FILE + 1), &[FILE + 1]);
    holds(rule, ALL);
}

#[test]
fn a_function_has_at_most_60_lines() {
    let rule: Rule = |source| {
        let long = functions(source).into_iter().filter(|(_, lines)| *lines > FUNCTION);
        long.map(|(line, lines)| {
            Finding::new(line, format!("a function of {lines} lines; split it at {FUNCTION}"))
        })
        .collect()
    };
    let of = |lines: usize| {
        format!(
            "trait T {{ fn t();\nfn f() -> [u8; 2] {{{}}}}}\nfn g() {{}}",
            "\n".repeat(lines - 1)
        )
    };
    finds(rule, "src/x.rs", &of(FUNCTION), &[]);
    finds(rule, "src/x.rs", &of(FUNCTION + 1), &[2]);
    holds(rule, ALL);
}

/// Where each function with a body starts, and of how many lines it is.
fn functions(source: &Source) -> Vec<(usize, usize)> {
    let text = source.code.join("\n");
    let line_of = |at: usize| 1 + text[..at].matches('\n').count();
    let mut found = Vec::new();
    for (at, _) in text.match_indices("fn ") {
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let (mut braces, mut others) = (0, 0);
        for (offset, c) in text[at..].char_indices() {
            match c {
                '(' | '[' => others += 1,
                ')' | ']' => others -= 1,
                '{' => braces += 1,
                '}' => braces -= 1,
                _ => {}
            }
            if c == '}' && braces == 0 {
                found.push((line_of(at), line_of(at + offset) - line_of(at) + 1));
                break;
            }
            // A declaration without a body.
            if c == ';' && braces == 0 && others == 0 {
                break;
            }
        }
    }
    found
}

#[test]
fn the_clock_is_read_in_one_place() {
    let rule: Rule = |source| {
        let wall_time = source.path.starts_with("src/http/");
        let breach = |line: &str| {
            line.contains("Instant::now")
                || line.contains("std::time::Instant")
                || (has_word(line, "SystemTime") && !wall_time)
        };
        if source.path == "src/time.rs" {
            return Vec::new();
        }
        lines_where(source, "a second clock; use src/time.rs", breach)
    };
    finds(
        rule,
        "src/retry/state.rs",
        "let a = Instant::now();\nuse std::time::SystemTime;",
        &[1, 2],
    );
    finds(
        rule,
        "src/http/date.rs",
        "let a = tokio::time::Instant::now();\nSystemTime::now()",
        &[1],
    );
    finds(rule, "src/time.rs", "Instant::now()", &[]);
    holds(rule, SRC);
}

#[test]
fn chance_has_one_source() {
    let rule: Rule = |source| {
        if source.path == "src/rng.rs" {
            return Vec::new();
        }
        lines_where(source, "a second source of chance; use src/rng.rs", |line| {
            line.contains("rand::") || has_word(line, "ThreadRng")
        })
    };
    finds(rule, "src/retry/state.rs", "use rand::Rng;\nuse crate::rng::Rng;", &[1]);
    holds(rule, SRC);
}

/// How many lines above the box its reason may stand: a `let` or a signature in between.
const REACH: usize = 6;

#[test]
fn a_box_around_a_future_gives_its_reason() {
    let rule: Rule = |source| {
        let boxes = |line: &str| {
            ["Box::pin", "BoxFuture", "Pin<Box<dyn"].iter().any(|name| line.contains(name))
                && !line.trim_start().starts_with("use ")
        };
        let explained = |line: usize| {
            let above = &source.raw[line.saturating_sub(REACH + 1)..line - 1];
            above.iter().any(|text| {
                text.trim_start().starts_with("//") && text.to_lowercase().contains("box")
            })
        };
        let says = "a boxed future, and no comment right above it says why it is boxed";
        let found = source.before_tests().filter(|(n, line)| boxes(line) && !explained(*n));
        found.map(|(line, _)| Finding::new(line, says)).collect()
    };
    finds(
        rule,
        "src/x.rs",
        "// Cold.\nlet a = Box::pin(f);\n// Boxed: recursive.\nBox::pin(g)",
        &[2],
    );
    finds(
        rule,
        "src/x.rs",
        "type F = BoxFuture<'static, ()>;\n#[cfg(test)]\nmod tests { Box::pin(f) }",
        &[1],
    );
    holds(rule, SRC);
}

#[test]
fn nothing_is_left_undone_or_switched_off() {
    let rule: Rule = |source| {
        lines_where(source, "left over: todo!, unimplemented!, dbg! or #[ignore]", |line| {
            let left = ["todo!", "unimplemented!", "dbg!"];
            left.iter()
                .any(|name| has_word(line, name.trim_end_matches('!')) && line.contains(name))
                || line.contains("#[ignore")
        })
    };
    let planted = "todo!()\n// todo!()\ndbg!(x)\n#[ignore]\n#[ignore = \"slow\"]\nunimplemented!()";
    finds(rule, "tests/x.rs", planted, &[1, 3, 4, 5, 6]);
    holds(rule, ALL);
}

#[test]
fn nothing_is_unsafe() {
    let rule: Rule = |source| lines_where(source, "unsafe code", |line| has_word(line, "unsafe"));
    finds(rule, "src/x.rs", "// unsafe\n#![forbid(unsafe_code)]\nunsafe { f() }", &[3]);
    holds(rule, ALL);
}

#[test]
fn setters_and_getters_are_named_as_what_they_set_and_get() {
    let rule: Rule = |source| {
        lines_where(
            source,
            "a public `with_` or `get_`: setters and getters have plain names",
            |line| {
                ["pub fn with_", "pub fn get_", "pub const fn with_"]
                    .iter()
                    .any(|name| line.contains(name))
            },
        )
    };
    let planted = "pub fn with_name(self)\npub(super) fn with_name(self)\n    pub fn get_limit(&self)\npub fn within()";
    finds(rule, "src/x.rs", planted, &[1, 3]);
    holds(rule, SRC);
}

/// A finding for each line of code that `breach` is true for.
fn lines_where(source: &Source, says: &str, breach: impl Fn(&str) -> bool) -> Vec<Finding> {
    let found = source.numbered().filter(|(_, line)| breach(line));
    found.map(|(line, _)| Finding::new(line, says)).collect()
}
