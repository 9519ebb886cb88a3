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
