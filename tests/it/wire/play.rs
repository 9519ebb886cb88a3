//! [`Play`]: hosts, links, and the faults that befall them at their times.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buttress::sim::seeds;
use turmoil::Sim;

use super::clients::{Client, Traffic};
use super::history::History;
use super::net::Protocol;
use super::servers::{Bulkheads, Guard, Server};

/// Seeds of each scenario, unless the environment says otherwise.
const SEEDS: u64 = 16;

/// What befalls every link that a client was [registered](Play::client) with, or every server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// Packets are lost, both ways.
    Partition,
    /// Packets are kept back, both ways, and none of them is lost.
    Hold,
    /// What the servers send is lost.
    CutReplies,
    /// Every packet takes so many milliseconds.
    Delay(u64),
    /// The servers die; their machines refuse connections.
    Refuse,
    /// The machines of the servers die.
    Crash,
    /// The links are as they should be. What was held arrives now.
    Mend,
    /// The servers start.
    Boot,
}

pub(super) struct Play {
    sim: Sim<'static>,
    history: History,
    bulkheads: Bulkheads,
    servers: Vec<&'static str>,
    links: Vec<[&'static str; 2]>,
    refuses: Arc<AtomicBool>,
}

impl Play {
    /// Packets take 1 to `slowest` milliseconds, most of them little.
    pub(super) fn new(seed: u64, slowest: u64) -> Self {
        let sim = turmoil::Builder::new()
            .rng_seed(seed)
            .enable_random_order()
            .simulation_duration(Duration::from_secs(600))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(slowest))
            // turmoil panics where a real listener would drop what is beyond its backlog.
            .tcp_capacity(65_536)
            .build();
        Self {
            sim,
            history: History::default(),
            bulkheads: Bulkheads::default(),
            servers: Vec::new(),
            links: Vec::new(),
            refuses: Arc::default(),
        }
    }

    /// A server that works `work` milliseconds on each request.
    pub(super) fn server(
        &mut self,
        name: &'static str,
        protocol: Protocol,
        work: u64,
        guard: Guard,
    ) {
        let server = Server {
            name,
            protocol,
            work: Duration::from_millis(work),
            guard,
            history: self.history.clone(),
            bulkheads: self.bulkheads.clone(),
        };
        let refuses = self.refuses.clone();
        self.servers.push(name);
        self.sim.host(name, move || {
            let server = server.clone();
            let refuses = refuses.load(Ordering::Relaxed);
            async move { if refuses { std::future::pending().await } else { server.run().await } }
        });
    }

    /// A client, whose link to the server of its traffic will fail; those to others will not. The
    /// run is over when all clients are done.
    ///
    /// It is made on its host: a layer that is made elsewhere reads another clock.
    pub(super) fn client(
        &mut self,
        traffic: Traffic,
        make: impl FnOnce(&History, &Bulkheads) -> Client + 'static,
    ) {
        let (history, bulkheads) = (self.history.clone(), self.bulkheads.clone());
        self.links.push([traffic.client, traffic.server]);
        self.sim.client(traffic.client, async move {
            let client = make(&history, &bulkheads);
            traffic.send(history, client).await;
            Ok(())
        });
    }

    /// Runs to the end, with the faults at their times.
    pub(super) fn run(mut self, faults: &[(Duration, Fault)]) -> History {
        let mut faults = faults.iter();
        let mut next = faults.next();
        loop {
            while let Some((_, fault)) = next.filter(|(at, _)| self.sim.elapsed() >= *at) {
                self.befall(*fault);
                next = faults.next();
            }
            if self.sim.step().expect("no host fails") {
                break;
            }
        }
        assert!(next.is_none(), "the run was over before {next:?}");
        self.bulkheads.assert_empty();
        self.history
    }

    fn befall(&mut self, fault: Fault) {
        for [client, server] in self.links.clone() {
            match fault {
                Fault::Partition => self.sim.partition(client, server),
                Fault::Hold => self.sim.hold(client, server),
                Fault::CutReplies => self.sim.partition_oneway(server, client),
                Fault::Delay(ms) => {
                    self.sim.set_link_latency(client, server, Duration::from_millis(ms));
                }
                Fault::Mend => self.sim.release(client, server),
                Fault::Refuse | Fault::Crash | Fault::Boot => {}
            }
        }
        self.refuses.store(matches!(fault, Fault::Refuse), Ordering::Relaxed);
        for server in self.servers.clone() {
            match fault {
                Fault::Refuse | Fault::Boot => self.sim.bounce(server),
                Fault::Crash => self.sim.crash(server),
                _ => {}
            }
        }
    }
}

/// Runs the scenario twice for each seed, for an equal history, and looks at that.
pub(super) fn every_seed(run: impl Fn(u64) -> History, check: impl Fn(&History)) {
    let seeds = seeds(0..SEEDS);
    let is_replay = seeds.end - seeds.start == 1;
    for seed in seeds {
        let _replay = Replay(seed);
        let history = run(seed);
        if is_replay {
            println!("{history}\nhash {:#x}", history.hash());
        }
        assert_same(&history, &run(seed));
        check(&history);
    }
}

#[track_caller]
fn assert_same(one: &History, other: &History) {
    if one.hash() != other.hash() {
        let (one, other) = (one.to_string(), other.to_string());
        let same = one.lines().zip(other.lines()).take_while(|(one, other)| one == other).count();
        let tail = |text: &str| text.lines().skip(same).take(5).collect::<Vec<_>>().join("\n");
        panic!("one seed, two histories: {}\n-- and --\n{}", tail(&one), tail(&other));
    }
}

/// Says how to see it again, should it fail.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let thread = std::thread::current();
            let test = thread.name().unwrap_or("wire::");
            eprintln!(
                "SIM_SEED={:#x} cargo test --all-features --test it {test} -- --exact",
                self.0
            );
        }
    }
}
