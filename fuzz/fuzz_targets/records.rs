//! The target of this name in the library.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| buttress_fuzz::run("records", data));

/// Without libFuzzer: replays the files that it is given.
#[cfg(not(fuzzing))]
fn main() {
    buttress_fuzz::replay("records", std::env::args_os().skip(1));
}
