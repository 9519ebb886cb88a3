//! Every file of a layer holds what its name says, and nothing else.

use crate::imports::is_layer;
use crate::source::{Finding, Source, has_word};
use crate::{SRC, finds, holds};

/// What the manual page of a layer says, in this order.
const HEADINGS: [&str; 8] = [
    "What it does",
    "When to use it",
    "Example",
    "What it counts",
    "Readiness",
    "Cancellation",
    "Sharing",
    "Events",
];

fn is_page(source: &Source) -> bool {
    let module = source.module().unwrap_or_default();
    (is_layer(module) || ["observe", "keyed"].contains(&module))
        && source.path == format!("src/{module}/mod.rs")
}

#[test]
fn the_page_of_a_layer_has_the_fixed_headings() {
    let rule = |source: &Source| {
        if !is_page(source) {
            return Vec::new();
        }
        let headings = headings(source);
        if headings.iter().map(|(_, text)| *text).eq(HEADINGS) {
            return Vec::new();
        }
        let fits = headings.iter().zip(HEADINGS).take_while(|((_, text), wanted)| text == wanted);
        let fitting = fits.count();
        let line = headings.get(fitting).map_or(1, |(line, _)| *line);
        let wanted = HEADINGS.get(fitting).unwrap_or(&"no further heading");
        vec![Finding::new(line, format!("the headings are {HEADINGS:?}; here: {wanted}"))]
    };
    let page = HEADINGS.map(|text| format!("//! # {text}\n")).concat();
    let example = "//! ```\n//! # let hidden = 1;\n//! ```\n";
    finds(rule, "src/retry/mod.rs", &format!("{page}{example}"), &[]);
    finds(rule, "src/retry/mod.rs", &page.replace("//! # Sharing\n", ""), &[7]);
    finds(rule, "src/retry/mod.rs", &format!("{page}//! # More"), &[9]);
    finds(rule, "src/http/mod.rs", "", &[]);
    holds(rule, SRC);
}

/// Outside of examples, in which a line that starts with `# ` is hidden code.
fn headings(source: &Source) -> Vec<(usize, &str)> {
    let mut in_example = false;
    let mut found = Vec::new();
    for (number, raw) in (1..).zip(&source.raw) {
        in_example ^= raw.starts_with("//! ```");
        if let (false, Some(text)) = (in_example, raw.strip_prefix("//! # ")) {
            found.push((number, text));
        }
    }
    found
}

#[test]
fn a_contents_page_holds_no_code() {
    let rule = |source: &Source| {
        if !is_page(source) && source.path != "src/lib.rs" {
            return Vec::new();
        }
        let says = "code, where only documentation, `mod` and `use` belong";
        code_of(source).into_iter().map(|line| Finding::new(line, says)).collect()
    };
    let planted = "//! Text.\n#![cfg_attr(docsrs, feature(doc_cfg))]\n\nmod a;\npub mod b;\npub(crate) use a::{\n    X,\n};\n\
                   fn f() {}\n#[doc = \"x\"]\npub use a::Y;\nmod c {\n}\n";
    finds(rule, "src/lib.rs", planted, &[9, 12, 13]);
    finds(rule, "src/retry/mod.rs", planted, &[9, 12, 13]);
    finds(rule, "src/retry/layer.rs", planted, &[]);
    holds(rule, SRC);
}

/// The lines that are neither an attribute nor part of a `mod x;` or `use x;`.
fn code_of(source: &Source) -> Vec<usize> {
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in source.numbered() {
        let line = line.trim();
        let item = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let module = item.starts_with("mod ") && item.ends_with(';');
        inside |= item.starts_with("use ");
        if !inside && !module && !line.is_empty() && !line.starts_with('#') {
            found.push(number);
        }
        inside &= !line.ends_with(';');
    }
    found
}

#[test]
fn a_state_machine_is_synchronous() {
    let rule = |source: &Source| {
        let found = source.numbered().filter(|(_, line)| {
            source.file_name() == "state.rs"
                && ["async", "Poll", "Service"].iter().any(|word| has_word(line, word))
        });
        let says = "`async`, `Poll` or `Service` in a pure state machine";
        found.map(|(line, _)| Finding::new(line, says)).collect()
    };
    let planted = "use std::task::Poll;\nasync fn f() {}\n// async\nimpl Service for X {}\nPolled";
    finds(rule, "src/retry/state.rs", planted, &[1, 2, 4]);
    finds(rule, "src/retry/future.rs", planted, &[]);
    holds(rule, SRC);
}
