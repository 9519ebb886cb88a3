//! The target of this name in the library.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| buttress_fuzz::run("stored_record", data));

/// Without libFuzzer: replays the files that it is given.
#[cfg(not(fuzzing))]
fn main() {
    buttress_fuzz::replay("stored_record", std::env::args_os().skip(1));
}
