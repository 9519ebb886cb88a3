//! One run: a runtime of its own, with a paused clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::plan::Plan;
use super::record::{Record, moment_of};
use super::report::{Report, Trigger};
use super::world::World;
use crate::sync::lock;
use crate::time::{later, now, sleep_until};

/// How often a run looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

/// A simulation: a seed. Everything that is left to chance in a run follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sim {
    seed: u64,
}

impl Sim {
    /// The runs of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Runs the plan, with the stacks that `wire` puts between its clients and servers.
    ///
    /// `wire` is called within the run's own runtime, on its clock: build layers there and not
    /// before, since many of them note the time when they are built.
    ///
    /// # Panics
    ///
    /// If the plan cannot be meant ([`Plan::validate`]), if `wire` panics, if clients of the plan
    /// are left without a stack, and when called from within a runtime.
    pub fn run(self, plan: &Plan, wire: impl FnOnce(&mut World<'_>)) -> Report {
        if let Err(error) = plan.validate() {
            panic!("{error}");
        }
        assert!(
            tokio::runtime::Handle::try_current().is_err(),
            "`Sim::run` starts a runtime of its own: call it from a plain `#[test]`, not from async \
             code"
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing of the system");
        let (mut report, idle) = runtime.block_on(async {
            let record = Record::new();
            let mut world = World::new(plan, self.seed, &record);
            wire(&mut world);
            world.assert_wired();
            pass(plan, &record).await;
            (self.report(plan, &record, &world), world.idle)
        });
        // With it go all tasks, and what they held.
        drop(runtime);
        let left = idle.iter().map(|(name, left)| (name.clone(), left()));
        report.leaks = left.filter(|(_, left)| *left > 0).collect();
        report
    }

    fn report(self, plan: &Plan, record: &Arc<Record>, world: &World<'_>) -> Report {
        let (from, until) = (plan.trigger_begin(), plan.trigger_end());
        let book = record.close();
        let mut servers = BTreeMap::new();
        for ((name, host), mut server) in world.hosts.iter().zip(book.servers) {
            let (busy, waiting) = lock(&host.core).station.load();
            server.unfinished = u64::from(busy) + waiting as u64;
            servers.insert(name.clone(), server);
        }
        let sometimes = world.sometimes.iter().map(|(name, seen)| (name.clone(), seen.count()));
        let mut report = Report {
            seed: self.seed,
            trace_hash: book.hash,
            events: book.events,
            ran_for: plan.run_for,
            moment: moment_of(plan.run_for),
            trigger: from.zip(until).map(|(from, until)| Trigger { from, until }),
            incidents: plan.incidents(),
            no_load: plan.servers.values().map(|server| server.latency.mean()).sum(),
            clients: plan.clients.keys().cloned().zip(book.clients).collect(),
            servers,
            layers: book.layers,
            sometimes: sometimes.collect(),
            leaks: BTreeMap::new(),
            violation: book.violation,
        };
        for client in report.clients.values_mut() {
            client.unfinished = client.offered - client.ended();
        }
        report.reckon(plan);
        report
    }
}

/// Lets the time of the run pass.
async fn pass(plan: &Plan, record: &Record) {
    let end = later(record.start(), plan.run_for);
    let over = later(end, plan.drain);
    loop {
        let (open, broken) = record.read(|book| (book.open, book.violation.is_some()));
        let now = now();
        // Days are not looked through in steps of 50 ms.
        let look = if now < end { LOOK.max(plan.run_for / 2000) } else { LOOK };
        if broken || now >= over || (now >= end && open == 0) {
            return;
        }
        sleep_until(later(now, look)).await;
    }
}
