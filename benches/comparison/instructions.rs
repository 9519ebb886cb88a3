//! Instructions of a call, counted by callgrind: the same on a busy machine as on an idle one.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::{env, fs, process};

use crate::{WARM, cases};

/// The argument that makes this program run each case's calls once, for the profiler around it.
pub(crate) const COUNT: &str = "--count";

const CALLS: u32 = 1_000;

/// What runs inside the profiler: one dump for each case.
pub(crate) fn run() {
    for case in cases::all() {
        let mut subject = (case.make)();
        subject.run(WARM);
        start_of_case();
        subject.run(CALLS);
        end_of_case();
    }
}

/// A name that the profiler knows: what was counted so far was the warming up.
#[inline(never)]
fn start_of_case() {
    black_box("start");
}

/// A name that the profiler knows: what was counted since is one case's.
#[inline(never)]
fn end_of_case() {
    black_box("end");
}

/// Instructions of one call, in the order of the cases.
pub(crate) fn counts() -> Vec<f64> {
    let folder = env::temp_dir().join(format!("buttress-instructions-{}", process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    let counts = profile(&folder);
    fs::remove_dir_all(&folder).expect("its own folder");
    counts
}

fn profile(folder: &Path) -> Vec<f64> {
    let out = folder.join("dump");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .args([
            "--toggle-collect=*counted_calls*",
            "--dump-before=comparison::instructions::end_of_case",
        ])
        .arg("--zero-before=comparison::instructions::start_of_case")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe().expect("its own path"))
        .arg(COUNT)
        .output()
        .unwrap_or_else(|error| {
            panic!("valgrind does not start ({error}): apt-get install valgrind")
        });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (1..=cases::all().len())
        .map(|dump| {
            let text = fs::read_to_string(folder.join(format!("dump.{dump}")))
                .unwrap_or_else(|error| panic!("no dump of case {dump}: {error}"));
            f64::from(total(&text)) / f64::from(CALLS)
        })
        .collect()
}

/// The figure of a dump's `totals:` line.
fn total(dump: &str) -> u32 {
    let line = dump.lines().find_map(|line| line.strip_prefix("totals: "));
    line.and_then(|figure| figure.trim().parse().ok()).expect("a dump has a total")
}
