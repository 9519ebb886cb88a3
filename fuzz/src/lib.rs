//! What is fuzzed, and how an input is read. Every target is a plain function of the input, which
//! panics where something is wrong: libFuzzer calls it, and so does the test that replays the
//! corpus.
//!
//! `scripts/fuzz` runs them all.

mod bytes;
mod deadline;
mod idempotency_key;
mod limits;
#[cfg(any(fuzzing, buttress_fuzz))]
mod models;
mod pushback;
mod replay_body;
mod retry_after;
mod stack;
mod support;

use std::ffi::OsString;
use std::path::Path;

/// A target and its name, which is also that of its binary and of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Every target there is.
pub const TARGETS: &[Target] = &[
    ("retry_after", retry_after::run),
    ("deadline", deadline::run),
    ("pushback", pushback::run),
    #[cfg(any(fuzzing, buttress_fuzz))]
    ("circuit_breaker", models::circuit_breaker),
    #[cfg(any(fuzzing, buttress_fuzz))]
    ("budget", models::budget),
    #[cfg(any(fuzzing, buttress_fuzz))]
    ("slots", models::slots),
    #[cfg(any(fuzzing, buttress_fuzz))]
    ("window", models::window),
    #[cfg(any(fuzzing, buttress_fuzz))]
    ("hedge", models::hedge),
    #[cfg(any(fuzzing, buttress_fuzz))]
    ("codel", models::codel),
    #[cfg(any(fuzzing, buttress_fuzz))]
    ("threshold", models::threshold),
    #[cfg(any(fuzzing, buttress_fuzz))]
    ("records", models::records),
    ("limits", limits::run),
    ("replay_body", replay_body::run),
    ("stack", stack::run),
    ("idempotency_key", idempotency_key::run),
    #[cfg(any(fuzzing, buttress_fuzz))]
    ("stored_record", models::stored_record),
];

/// One input of the target with this name.
///
/// # Panics
///
/// If the input shows that something is wrong, or if there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(target, _)| *target == name);
    target.expect("a target of this name: run cargo in fuzz/, where its configuration is").1(data);
}

/// Each of these files.
///
/// # Panics
///
/// If one of them shows that something is wrong, or cannot be read.
pub fn replay(name: &str, files: impl IntoIterator<Item = OsString>) {
    for file in files {
        let data =
            std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        println!("{name}: {}", Path::new(&file).display());
        run(name, &data);
    }
}
