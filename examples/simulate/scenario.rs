//! The scenarios: who calls whom, and what goes wrong.

use std::time::Duration;

use buttress::sim::{Clients, Faults, Latency, Plan, Server};

/// The load, and how many attempts a stack makes that does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    /// Requests offered, as a share of what the servers can do.
    pub(crate) utilisation: f64,
    /// Attempts for each request, the first included.
    pub(crate) attempts: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { utilisation: 0.75, attempts: 4 }
    }
}

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    plan: fn(Settings) -> Plan,
}

impl Scenario {
    /// The scenario of that name.
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    pub(crate) fn plan(&self, settings: Settings) -> Plan {
        (self.plan)(settings)
    }
}

/// When trouble begins, and how long it lasts.
pub(crate) const FROM: Duration = Duration::from_secs(10);
pub(crate) const LASTING: Duration = Duration::from_secs(10);
const RUN_FOR: Duration = Duration::from_secs(60);

/// What the server of most scenarios can answer in a second: 10 workers of 50 ms.
const CAPACITY: f64 = 200.0;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "calm", what: "nothing goes wrong", plan: |s| db(s, Faults::new()) },
    Scenario {
        name: "slow",
        what: "the server takes 10 times as long for 10 s",
        plan: |s| db(s, Faults::new().slow("db", 10.0, FROM, LASTING)),
    },
    Scenario {
        name: "lost-workers",
        what: "9 of its 10 workers are lost for 10 s",
        plan: |s| db(s, Faults::new().lose_workers("db", 0.9, FROM, LASTING)),
    },
    Scenario {
        name: "crash",
        what: "it crashes, refuses for 10 s, and is back",
        plan: |s| db(s, Faults::new().crash("db", FROM, LASTING)),
    },
    Scenario {
        name: "errors",
        what: "9 of 10 answers are errors for 10 s",
        plan: |s| db(s, Faults::new().errors("db", 0.9, FROM, LASTING)),
    },
    Scenario {
        name: "partition",
        what: "nothing gets through to it, and nothing back, for 10 s",
        plan: |s| db(s, Faults::new().partition("db", FROM, LASTING)),
    },
    Scenario { name: "spike", what: "clients send 4 times as much for 10 s", plan: spike },
    Scenario {
        name: "silence",
        what: "it crashes, says nothing for 10 s, and is back",
        plan: |s| db(s, Faults::new().silence("db", FROM, LASTING)),
    },
    Scenario {
        name: "gc-pause",
        what: "it stands still for 2 s, five times",
        plan: |s| {
            let pauses = (0..5).map(|n| FROM + n * Duration::from_secs(5));
            let pause = |faults: Faults, at| faults.pause("db", at, Duration::from_secs(2));
            db(s, pauses.fold(Faults::new(), pause))
        },
    },
    Scenario {
        name: "lost-replies",
        what: "half of its replies get lost for 10 s",
        plan: |s| db(s, Faults::new().lose_replies("db", 0.5, FROM, LASTING)),
    },
    Scenario {
        name: "chain",
        what: "of three servers in a chain the last one is slow",
        plan: chain,
    },
];

/// Shoppers, and a database.
pub(crate) fn db(settings: Settings, faults: Faults) -> Plan {
    Plan::new(RUN_FOR)
        .server("db", Server::workers(10, Latency::exponential(Duration::from_millis(50))))
        .clients("shop", Clients::open(CAPACITY * settings.utilisation))
        .faults(faults)
}

fn spike(settings: Settings) -> Plan {
    let clients = Clients::open(CAPACITY * settings.utilisation);
    db(settings, Faults::new()).clients("shop", clients.spike(4.0, FROM, LASTING))
}

/// Each calls the next, in the order of their names.
fn chain(settings: Settings) -> Plan {
    let server = Server::workers(10, Latency::exponential(Duration::from_millis(20)));
    let clients = Clients::open(server.capacity() * settings.utilisation);
    ["1 web", "2 orders", "3 db"]
        .into_iter()
        .fold(Plan::new(RUN_FOR), |plan, name| plan.server(name, server.clone()))
        .clients("shop", clients)
        .faults(Faults::new().slow("3 db", 10.0, FROM, LASTING))
}
