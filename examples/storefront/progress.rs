//! The progress of a run, on the standard error.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::record::{Call, Outcome, Record};
use crate::report::share;
use crate::script::{Route, Script};

/// Shows how far the run is: a bar in a terminal, else one line at the start of each phase.
///
/// Never ends by itself before the run does; a standard error that cannot be written to is let be.
pub(crate) async fn show(script: &Script, records: &[Arc<Record>; 2]) {
    if stderr().is_terminal() {
        bar(script, records).await;
    } else {
        lines(script, &records[0]).await;
    }
}

/// At most 79 columns: a line that wraps cannot be drawn over.
async fn bar(script: &Script, [naked, protected]: &[Arc<Record>; 2]) {
    const CELLS: u32 = 12;
    loop {
        let now = naked.now().min(script.length);
        let done = now.as_secs_f64() / script.length.as_secs_f64();
        let is_done = |cell| f64::from(cell) < done * f64::from(CELLS);
        let bar: String = (0..CELLS).map(|cell| if is_done(cell) { '#' } else { '.' }).collect();
        // Return to the start of the line, and clear what a longer one left behind.
        let _ = write!(
            stderr(),
            "\r[{bar}] {:>4.1}/{} s  {:<13}  {} naked {}, protected {}\x1b[K",
            now.as_secs_f64(),
            script.length.as_secs_f64(),
            script.phase_at(now).name,
            Route::Catalog.path(),
            lately(naked, Route::Catalog),
            lately(protected, Route::Catalog),
        );
        if now >= script.length {
            let _ = writeln!(stderr());
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The goodput of a route among the calls that ended in the last second.
fn lately(record: &Record, route: Route) -> String {
    let now = record.now();
    let recent = |call: &&Call| call.at + call.latency + Duration::from_secs(1) > now;
    let (good, all) = record.with(|notes| {
        let recent = notes.calls.iter().rev().take_while(recent);
        let calls: Vec<_> = recent.filter(|call| call.route == route).collect();
        let good = calls.iter().filter(|call| call.outcome == Outcome::Good).count();
        (good, calls.len())
    });
    share(good, all).map_or("   -".to_owned(), |share| format!("{:>3.0}%", share * 100.0))
}

async fn lines(script: &Script, record: &Record) {
    for phase in &script.phases {
        tokio::time::sleep_until(record.start() + phase.start).await;
        let (start, end) = (phase.start.as_secs_f64(), phase.end.as_secs_f64());
        let _ = writeln!(stderr(), "{start:>6.2} s to {end:>6.2} s  payments: {}", phase.name);
    }
}
