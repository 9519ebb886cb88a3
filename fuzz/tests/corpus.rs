//! Replays the corpus of every target: inputs made by hand, and what fuzzing has found.

use std::fs;
use std::path::Path;

#[test]
fn every_input_of_every_target_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, run) in buttress_fuzz::TARGETS {
        let folder = corpus.join(target);
        let mut inputs: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("no corpus for {target}: {error}"))
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        assert!(inputs.len() >= 10, "{target}: only {} inputs", inputs.len());
        for input in inputs {
            println!("{}", input.display());
            run(&fs::read(input).unwrap());
        }
    }
}

/// Run from elsewhere, cargo does not see the configuration of this folder, which brings the models.
#[cfg(not(any(fuzzing, buttress_fuzz)))]
#[test]
fn the_inputs_of_the_models_hold_too() {
    let here = std::process::Command::new(env!("CARGO"))
        .args(["test", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // What is set there would take the place of the configuration.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status();
    assert!(here.unwrap().success(), "as `cargo test` in fuzz/ says");
}
