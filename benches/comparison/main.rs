//! What a call costs through each layer, beside the same through other crates: one inner service,
//! one driver, one process.
//!
//! `cargo bench --bench comparison` runs the criterion groups `overhead` and `contention`, and ends
//! with the tables of [`table`]. After `--`:
//!
//! - `--table`: the tables alone;
//! - `--instructions`: the instructions of a call through each of this crate's layers, a line each,
//!   for `benches/instructions.sh`;
//! - `--test`: each subject for a few calls, unmeasured.
//!
//! Times are medians of nine repetitions, the subjects of a row in turns; instructions are counted
//! by callgrind, if valgrind is installed. Allocations are counted by an allocator that stays in
//! place while times are taken: whoever allocates pays some nanoseconds more than without it.
//! tokio's clock, which this crate reads, costs a load more than std's where, as here, tokio's
//! `test-util` is on.

mod cases;
mod contention;
mod drive;
mod groups;
mod inner;
mod instructions;
mod measure;
mod rows;
mod table;

use std::env;
use std::process::ExitCode;

use cases::shared;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime with a clock");
    let _entered = runtime.enter();
    cases::install_recorder();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if let Some([_, which]) = arguments.windows(2).find(|pair| pair[0] == instructions::COUNT) {
        instructions::run(which);
    } else if has("--instructions") {
        if let Err(why) = instructions::print_ours() {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    } else if has("--table") {
        table::print();
    } else if has("--test") || !has("--bench") {
        try_each();
    } else {
        groups::run();
        table::print();
    }
    ExitCode::SUCCESS
}

/// Every subject does what its row is about.
fn try_each() {
    for case in cases::all() {
        println!("{}: {}", case.row, case.whose);
        (case.make)().run(case.row().few());
    }
    for subject in shared::all() {
        println!("{}, shared: {}", subject.name, subject.whose);
        contention::time(&mut (subject.make)(), 100);
    }
}
