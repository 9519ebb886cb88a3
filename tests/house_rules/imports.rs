//! Imports go one way: primitives, vocabulary, layers, leaves.

use crate::source::{Finding, Source};
use crate::{SRC, finds, holds};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tier {
    Primitive,
    Vocabulary,
    Layer,
    Leaf,
}

/// The place of everything right below `src`. What is not here has no place yet.
fn tier(module: &str) -> Option<Tier> {
    Some(match module {
        "time" | "rng" | "sync" | "window" | "backoff" | "codel" | "config" => Tier::Primitive,
        "rejected" | "error" | "classify" | "admission" | "observe" | "deadline" | "budget"
        | "policy" | "priority" => Tier::Vocabulary,
        "http" | "grpc" | "serde" | "keyed" | "stack" | "sim" | "guide" | "models" | "lib" => {
            Tier::Leaf
        }
        layer if is_layer(layer) => Tier::Layer,
        // What the root names again is vocabulary: `crate::Rejected`.
        name if name.starts_with(|c: char| c.is_uppercase()) => Tier::Vocabulary,
        _ => return None,
    })
}

pub(crate) fn is_layer(module: &str) -> bool {
    matches!(
        module,
        "timeout"
            | "bulkhead"
            | "circuit_breaker"
            | "load_shed"
            | "adaptive_limit"
            | "retry"
            | "idempotency"
            | "rate_limit"
            | "hedge"
            | "fallback"
            | "coalesce"
            | "fault"
    )
}

/// What is wrong with `module` naming `other`, if anything.
fn objection(module: &str, other: &str) -> Option<String> {
    let (Some(from), Some(to)) = (tier(module), tier(other)) else {
        let unknown = if tier(module).is_none() { module } else { other };
        return Some(format!("`{unknown}` has no tier yet: give it one in this rule"));
    };
    let allowed = match from {
        Tier::Primitive => to == Tier::Primitive,
        Tier::Vocabulary => matches!(to, Tier::Primitive | Tier::Vocabulary),
        Tier::Layer => matches!(to, Tier::Primitive | Tier::Vocabulary) || module == other,
        Tier::Leaf => true,
    };
    (!allowed).then(|| format!("`{module}` ({from:?}) may not know `{other}` ({to:?})"))
}

fn imports_go_one_way(source: &Source) -> Vec<Finding> {
    let Some(module) = source.module() else { return Vec::new() };
    let objections = named(source)
        .into_iter()
        .filter_map(|(line, name)| objection(module, &name).map(|says| Finding::new(line, says)));
    objections.collect()
}

/// The first name after each `crate::`, those in braces one by one, with its line. A file without
/// any names itself, so that its own place is known.
fn named(source: &Source) -> Vec<(usize, String)> {
    let text = source.code.join("\n");
    let line_of = |at: usize| 1 + text[..at].matches('\n').count();
    let mut found = vec![(1, source.module().unwrap_or_default().to_owned())];
    for (at, path) in text.match_indices("crate::") {
        let start = at + path.len();
        let Some(group) = text[start..].strip_prefix('{') else {
            found.push((line_of(at), first_name(&text[start..])));
            continue;
        };
        let (mut depth, mut part) = (0, start + 1);
        for (offset, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    let name = text[part..start + 1 + offset].trim_start();
                    if !name.is_empty() {
                        let at = start + 1 + offset - name.len();
                        found.push((line_of(at), first_name(name)));
                    }
                    part = start + 2 + offset;
                    if c == '}' {
                        break;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    found
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn imports_go_one_way_only() {
    let rule = imports_go_one_way;
    finds(rule, "src/window.rs", "use crate::time;\nuse crate::classify::Class;", &[2]);
    finds(rule, "src/observe/event.rs", "use crate::bulkhead::Handle;", &[1]);
    finds(
        rule,
        "src/retry/state.rs",
        "use crate::{\n    Error,\n    retry::Policy,\n    hedge::{A, B},\n};",
        &[4],
    );
    finds(rule, "src/retry/mod.rs", "use crate::http::Statuses;\nuse super::x;", &[1]);
    finds(rule, "src/http/mod.rs", "use crate::bulkhead::Handle;\nuse crate::Error;", &[]);
    finds(rule, "src/novelty.rs", "", &[1]);
    holds(rule, SRC);
}

#[test]
fn no_layer_knows_a_feature() {
    let rule = |source: &Source| {
        let module = source.module().unwrap_or_default();
        // Of the vocabulary, the adapters to other crates alone: they are named where they hang.
        let exempt = tier(module) == Some(Tier::Leaf)
            || source.path == "src/lib.rs"
            || source.path == "src/observe/mod.rs";
        let found = source.numbered().filter(|(_, line)| {
            !exempt
                && line.contains("feature")
                && (line.contains("cfg(") || line.contains("cfg_attr("))
        });
        let says = "a cfg(feature): a feature adds a leaf, and changes nothing inside";
        found.map(|(line, _)| Finding::new(line, says)).collect()
    };
    let planted = "#[cfg(feature = \"serde\")]\n// cfg(feature\n#[cfg_attr(feature = \"serde\", derive(S))]\n#[cfg(test)]";
    finds(rule, "src/bulkhead/config.rs", planted, &[1, 3]);
    finds(rule, "src/observe/mod.rs", planted, &[]);
    holds(rule, SRC);
}
