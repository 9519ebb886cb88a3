//! What a call costs through each layer, beside the same through other crates.

mod cases;
mod drive;
mod inner;
mod instructions;

/// So many calls before anything is measured: windows, budgets and limits have seen traffic, and
/// what is registered by the first call has been.
const WARM: u32 = 1_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime with a clock");
    let _entered = runtime.enter();
    if std::env::args().any(|arg| arg == instructions::COUNT) {
        return instructions::run();
    }
    for (case, counted) in cases::all().iter().zip(instructions::counts()) {
        println!("{:28} {:12} {counted:8.1}", case.row, case.whose);
    }
}
