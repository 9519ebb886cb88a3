//! Instructions of a call, counted by callgrind: the same on a busy machine as on an idle one.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::{env, fs, process};

use crate::cases::{self, Case};
use crate::measure;

/// The argument that makes this program run each case's calls once, for the profiler around it.
pub(crate) const COUNT: &str = "--count";

/// Its value where only this crate's cases are to be counted.
const OURS: &str = "ours";

/// Enough that what happens once in a hundred calls has its share.
const CALLS: u32 = 1_000;

/// What runs inside the profiler: one dump for each case.
pub(crate) fn run(which: &str) {
    for case in cases::all().iter().filter(|case| is_counted(case, which == OURS)) {
        let mut subject = measure::prepared(case);
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

/// Instructions of one call: for each case that has them, in the order of the cases.
pub(crate) fn of_all(cases: &[Case]) -> Result<Vec<Option<f64>>, String> {
    let mut counts = profiled("all", cases, false)?.into_iter();
    Ok(cases
        .iter()
        .map(|case| if is_counted(case, false) { counts.next() } else { None })
        .collect())
}

/// One line for each of this crate's cases: its row, a tab, the instructions of one call.
pub(crate) fn print_ours() -> Result<(), String> {
    let cases = cases::all();
    let counts = profiled(OURS, &cases, true)?;
    for (case, count) in cases.iter().filter(|case| is_counted(case, true)).zip(counts) {
        println!("{}\t{count:.0}", case.row);
    }
    Ok(())
}

fn is_counted(case: &Case, ours_alone: bool) -> bool {
    case.row().counted && (case.is_ours() || !ours_alone)
}

fn profiled(which: &str, cases: &[Case], ours_alone: bool) -> Result<Vec<f64>, String> {
    let folder = env::temp_dir().join(format!("buttress-instructions-{}", process::id()));
    fs::create_dir_all(&folder).map_err(|error| format!("no temporary folder: {error}"))?;
    let dumps = cases.iter().filter(|case| is_counted(case, ours_alone)).count();
    let counts = profile(&folder, which, dumps);
    fs::remove_dir_all(&folder).map_err(|error| format!("its own folder: {error}"))?;
    counts
}

fn profile(folder: &Path, which: &str, dumps: usize) -> Result<Vec<f64>, String> {
    let out = folder.join("dump");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .args(["--toggle-collect=*counted_calls*"])
        .args(["--zero-before=comparison::instructions::start_of_case"])
        .args(["--dump-before=comparison::instructions::end_of_case"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe().map_err(|error| error.to_string())?)
        .args([COUNT, which])
        .output()
        .map_err(|error| format!("valgrind does not start ({error}): apt-get install valgrind"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    (1..=dumps)
        .map(|dump| {
            let text = fs::read_to_string(folder.join(format!("dump.{dump}")))
                .map_err(|error| format!("no dump of case {dump}: {error}"))?;
            let total = total(&text).ok_or_else(|| format!("dump {dump} has no total"))?;
            Ok(f64::from(total) / f64::from(CALLS))
        })
        .collect()
}

/// The figure of a dump's `totals:` line.
fn total(dump: &str) -> Option<u32> {
    dump.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}
