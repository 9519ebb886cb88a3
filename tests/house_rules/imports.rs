//! Imports go one way: primitives, vocabulary, layers, leaves.

use crate::source::{Finding, Source};
use crate::{SRC, finds, holds};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tier {
    Primitive,
    Vocabulary,
    Layer,
    /// Takes any layer, and knows none.
    Combinator,
    Leaf,
}

/// The place of everything right below `src`. What is not here has no place yet.
fn tier(module: &str) -> Option<Tier> {
    Some(match module {
        "time" | "rng" | "sync" | "window" | "backoff" | "codel" | "config" => Tier::Primitive,
        "rejected" | "error" | "classify" | "admission" | "observe" | "deadline" | "budget"
        | "policy" | "pinned" | "priority" => Tier::Vocabulary,
        // `store_contract` is a macro of `sim`.
        "http" | "grpc" | "serde" | "stack" | "sim" | "store_contract" | "guide" | "models"
        | "lib" => Tier::Leaf,
        "keyed" => Tier::Combinator,
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

/// The adapters that live with their layer: leaves, as those beside it.
const ADAPTERS: [(&str, [&str; 5]); 1] =
    [("idempotency", ["http", "client", "json", "redis", "postgres"])];

/// The adapters of a layer, if it has any.
fn adapters(layer: &str) -> &'static [&'static str] {
    ADAPTERS.iter().find(|(of, _)| *of == layer).map_or(&[], |(_, adapters)| adapters)
}

/// Whether the file is an adapter, or in the folder of one: `src/idempotency/http/layer.rs`.
fn is_adapter(source: &Source) -> bool {
    let mut parts = source.path.split('/').skip(1);
    let (layer, file) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    adapters(layer).contains(&file.trim_end_matches(".rs"))
}

fn place(source: &Source, module: &str) -> Option<Tier> {
    if is_adapter(source) { Some(Tier::Leaf) } else { tier(module) }
}

/// What is wrong with `module`, which has this place, naming `other`, if anything.
fn objection(module: &str, place: Option<Tier>, other: &str) -> Option<String> {
    let (Some(from), Some(to)) = (place, tier(other)) else {
        let unknown = if place.is_none() { module } else { other };
        return Some(format!("`{unknown}` has no tier yet: give it one in this rule"));
    };
    let allowed = match from {
        Tier::Primitive => to == Tier::Primitive,
        Tier::Vocabulary => matches!(to, Tier::Primitive | Tier::Vocabulary),
        Tier::Layer | Tier::Combinator => {
            matches!(to, Tier::Primitive | Tier::Vocabulary) || module == other
        }
        Tier::Leaf => true,
    };
    (!allowed).then(|| format!("`{module}` ({from:?}) may not know `{other}` ({to:?})"))
}

fn imports_go_one_way(source: &Source) -> Vec<Finding> {
    let Some(module) = source.module() else { return Vec::new() };
    let place = place(source, module);
    // A file that names nobody names itself, so that its own place is known.
    let named = std::iter::once((1, module.to_owned())).chain(named_after(source, "crate::"));
    let objections = named.filter_map(|(line, name)| {
        objection(module, place, &name).map(|says| Finding::new(line, says))
    });
    objections.chain(adapters_named(source, module)).collect()
}

/// Where the core of a layer names one of its adapters. Its contents page has to.
fn adapters_named(source: &Source, layer: &str) -> Vec<Finding> {
    if is_adapter(source) || source.path == format!("src/{layer}/mod.rs") {
        return Vec::new();
    }
    let named = [format!("crate::{layer}::"), "super::".to_owned()];
    let named = named.iter().flat_map(|path| named_after(source, path));
    let found = named.filter(|(_, name)| adapters(layer).contains(&name.as_str()));
    let says = |name| format!("the core of `{layer}` may not know its adapter `{name}`");
    found.map(|(line, name)| Finding::new(line, says(name))).collect()
}

/// The first name after each such path, those in braces one by one, with its line.
fn named_after(source: &Source, path: &str) -> Vec<(usize, String)> {
    let text = source.code.join("\n");
    let line_of = |at: usize| 1 + text[..at].matches('\n').count();
    let mut found = Vec::new();
    for (at, path) in text.match_indices(path) {
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
    finds(rule, "src/keyed/site.rs", "use crate::keyed::X;\nuse crate::pinned;", &[]);
    finds(rule, "src/keyed/site.rs", "use crate::bulkhead::Handle;", &[1]);
    finds(rule, "src/bulkhead/layer.rs", "use crate::keyed::Handle;", &[1]);
    finds(rule, "src/novelty.rs", "", &[1]);
    let adapter = "use crate::http::REFUSAL;\nuse crate::idempotency::{Claim, http::Problem};\nuse super::redis::X;";
    finds(rule, "src/idempotency/http/layer.rs", adapter, &[]);
    finds(rule, "src/idempotency/redis.rs", adapter, &[]);
    finds(rule, "src/idempotency/execution/run.rs", adapter, &[1, 2, 3]);
    finds(rule, "src/idempotency/memory/mod.rs", adapter, &[1, 2, 3]);
    finds(rule, "src/idempotency/mod.rs", adapter, &[1]);
    finds(rule, "src/retry/http/layer.rs", adapter, &[1, 2]);
    holds(rule, SRC);
}

#[test]
fn no_layer_knows_a_feature() {
    let rule = |source: &Source| {
        let module = source.module().unwrap_or_default();
        // Adapters to other crates are named where they hang: on a contents page.
        let pages = ["src/lib.rs", "src/observe/mod.rs", "src/idempotency/mod.rs"];
        let exempt =
            place(source, module) == Some(Tier::Leaf) || pages.contains(&source.path.as_str());
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
    finds(rule, "src/idempotency/mod.rs", planted, &[]);
    finds(rule, "src/idempotency/http/policy.rs", planted, &[]);
    finds(rule, "src/idempotency/state.rs", planted, &[1, 3]);
    holds(rule, SRC);
}
