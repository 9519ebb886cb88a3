//! A run: the servers side by side, each with a load generator of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::{Instant, interval};

use crate::load;
use crate::record::{Notes, Record};
use crate::script::{Arrival, Script, arrivals};
use crate::server::{Kind, Server};

/// Fixed, so that every run sees the same traffic.
const SEED: u64 = 0x0E71_0AD5;

/// What is left of a server's run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) notes: Notes,
    /// Calls a second that its workers could do, as measured.
    pub(crate) capacity: Option<f64>,
}

/// The records of a run that starts presently, in the order of [`Kind::ALL`].
pub(crate) fn records() -> [Arc<Record>; Kind::ALL.len()] {
    // Until then everything is up and listening.
    let start = Instant::now() + Duration::from_millis(100);
    Kind::ALL.map(|_| Arc::new(Record::new(start)))
}

/// Runs all at once and not in turn, so that whatever else the machine does hits all alike.
pub(crate) async fn all(
    script: &Script,
    records: &[Arc<Record>; Kind::ALL.len()],
) -> io::Result<Vec<Run>> {
    let traffic: Arc<[Arrival]> = arrivals(script, SEED).into();
    let runs = Kind::ALL.iter().zip(records);
    try_join_all(runs.map(|(kind, record)| one(*kind, script.length, traffic.clone(), record)))
        .await
}

async fn one(
    kind: Kind,
    length: Duration,
    traffic: Arc<[Arrival]>,
    record: &Arc<Record>,
) -> io::Result<Run> {
    let server = Server::open(kind, SEED).await?;
    let (address, notes) = (server.address, record.clone());
    // A task of its own, so that the generators of the five servers share the cores.
    let load = tokio::spawn(async move { load::generate(&traffic, address, &notes).await });
    watch(length, &server, record).await;
    load.await?;
    let capacity = server.pool.measured_capacity();
    server.close();
    Ok(Run { notes: record.with(std::mem::take), capacity })
}

/// Notes the limit.
async fn watch(length: Duration, server: &Server, record: &Record) {
    let mut tick = interval(Duration::from_millis(20));
    while record.now() < length {
        tick.tick().await;
        if let Some(limit) = server.limit() {
            record.limit(limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot;
    use crate::record::Outcome;
    use crate::report::Report;
    use crate::script::FOUR_TIMES;

    /// The shortest run there is, over real sockets. What a busy machine can spoil is left to
    /// `--check`, which is run on the example as it is shipped.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_short_run_accounts_for_every_call() {
        let script = Script::lasting(Duration::from_secs(5));
        let runs = all(&script, &records()).await.unwrap();
        let traffic = arrivals(&script, SEED).len();
        let reports = Kind::ALL.iter().zip(&runs);
        let reports: Vec<_> = reports.map(|(kind, run)| Report::new(*kind, &script, run)).collect();
        for (run, report) in runs.iter().zip(&reports) {
            assert_eq!(run.notes.calls.len(), traffic);
            assert_eq!(report.phases.iter().map(|phase| phase.offered).sum::<usize>(), traffic);
            let is_adaptive = matches!(report.kind, Kind::Adaptive | Kind::Priorities);
            assert_eq!(run.notes.limits.is_empty(), !is_adaptive);
            let refused = report.phases[FOUR_TIMES].refused;
            assert_eq!(refused == 0, report.kind == Kind::Naked, "{refused} by {:?}", report.kind);
            let is_good = |outcome| outcome == Outcome::Good;
            assert!(run.notes.calls.iter().any(|call| is_good(call.outcome)));
        }
        let plot = plot::render(&script, &runs, &reports).unwrap();
        assert!(!plot.contains("NaN") && !plot.contains("inf"), "{plot}");
    }
}
