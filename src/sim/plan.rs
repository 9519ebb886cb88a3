//! A whole run as data: everything but the stack under test.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clients::Clients;
use super::faults::Faults;
use super::report::Incident;
use super::server::Server;
use crate::serde::duration;

/// Servers, clients, faults and a length: a run, but for the stack under test and the seed.
///
/// It is data: it goes to a file and comes back ([`serde`]), and a failing one is made smaller
/// until what is left is what matters (see [`Check`](super::Check)).
///
/// ```
/// use std::time::Duration;
/// use buttress::sim::{Clients, Faults, Latency, Plan, Server};
///
/// let seconds = Duration::from_secs;
/// let plan = Plan::new(seconds(30))
///     .server("payments", Server::workers(10, Latency::exponential(Duration::from_millis(50))))
///     .clients("shop", Clients::open(150.0))
///     .faults(Faults::new().slow("payments", 10.0, seconds(10), seconds(10)));
///
/// let text = serde_json::to_string(&plan).unwrap();
/// assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Plan {
    /// How long clients send.
    #[serde(with = "duration")]
    pub run_for: Duration,
    /// How long they then wait for the answers that are out.
    #[serde(with = "duration", default = "half_a_minute")]
    pub drain: Duration,
    /// By name.
    pub servers: BTreeMap<String, Server>,
    /// By name.
    pub clients: BTreeMap<String, Clients>,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Faults,
}

impl Plan {
    /// Clients send for `run_for`; answers that are still out then are waited for, half a minute
    /// at most.
    #[must_use]
    pub fn new(run_for: Duration) -> Self {
        Self {
            run_for,
            drain: half_a_minute(),
            servers: BTreeMap::new(),
            clients: BTreeMap::new(),
            faults: Faults::new(),
        }
    }

    /// Adds a server, or replaces the one of that name.
    #[must_use]
    pub fn server(mut self, name: &str, server: Server) -> Self {
        self.servers.insert(name.to_owned(), server);
        self
    }

    /// Adds a group of clients, or replaces the one of that name.
    #[must_use]
    pub fn clients(mut self, name: &str, clients: Clients) -> Self {
        self.clients.insert(name.to_owned(), clients);
        self
    }

    /// Sets what goes wrong, in place of what was set before.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// How long to wait at the end for answers that are out. Default: half a minute.
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// When the first fault or spike begins.
    #[must_use]
    pub fn trigger_begin(&self) -> Option<Duration> {
        self.incidents().iter().map(|incident| incident.from).min()
    }

    /// When the last fault or spike ends.
    #[must_use]
    pub fn trigger_end(&self) -> Option<Duration> {
        self.incidents().iter().map(|incident| incident.until).max()
    }

    /// All faults and spikes, by their begin.
    #[must_use]
    pub fn incidents(&self) -> Vec<Incident> {
        let faults = self.faults.0.iter().map(|fault| Incident {
            what: format!("{} {}", fault.server, fault.kind),
            from: fault.from,
            until: fault.until(),
        });
        let spikes = self.clients.iter().flat_map(|(name, clients)| {
            clients.spikes.iter().map(move |spike| Incident {
                what: format!("{name} sends {} times as much", spike.factor),
                from: spike.from,
                until: spike.until(),
            })
        });
        let mut all: Vec<_> = faults.chain(spikes).collect();
        all.sort_by_key(|incident| incident.from);
        all
    }

    /// What cannot be meant, if anything.
    ///
    /// # Errors
    ///
    /// The first thing found: where it is, its value, and what is allowed.
    pub fn validate(&self) -> Result<(), PlanError> {
        let servers = self
            .servers
            .iter()
            .find_map(|(name, server)| Some((format!("servers.{name}"), server.nonsense()?)));
        let clients = self
            .clients
            .iter()
            .find_map(|(name, clients)| Some((format!("clients.{name}"), clients.nonsense()?)));
        let faults = self.faults.0.iter().enumerate().find_map(|(index, fault)| {
            let unknown = || {
                let names: Vec<_> = self.servers.keys().collect();
                format!("`server` is {:?}, allowed is one of {names:?}", fault.server)
            };
            let known = self.servers.contains_key(&fault.server);
            let says = if known { fault.nonsense()? } else { unknown() };
            Some((format!("faults[{index}]"), says))
        });
        match servers.or(clients).or(faults) {
            Some((place, says)) => Err(PlanError { place, says }),
            None => Ok(()),
        }
    }
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

/// A plan that cannot be meant: where, what it says, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    place: String,
    says: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plan: {}: {}", self.place, self.says)
    }
}

impl std::error::Error for PlanError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Latency;

    const SECOND: Duration = Duration::from_secs(1);

    fn plan() -> Plan {
        Plan::new(SECOND)
            .server("db", Server::workers(1, Latency::fixed(SECOND)))
            .clients("app", Clients::open(1.0))
    }

    fn says(plan: &Plan) -> String {
        plan.validate().unwrap_err().to_string()
    }

    #[test]
    fn nonsense_is_named_with_its_place_its_value_and_what_is_allowed() {
        assert_eq!(plan().validate(), Ok(()));
        let idle = plan().server("db", Server::workers(0, Latency::fixed(SECOND)));
        assert_eq!(says(&idle), "plan: servers.db: `workers` is 0, allowed is 1 or more");
        let unknown = plan().faults(Faults::new().crash("DB", SECOND, SECOND));
        assert_eq!(
            says(&unknown),
            r#"plan: faults[0]: `server` is "DB", allowed is one of ["db"]"#
        );
        let share = plan().faults(Faults::new().errors("db", 1.5, SECOND, SECOND));
        assert!(says(&share).starts_with("plan: faults[0]: `share` is 1.5, allowed is"));
        let rate = plan().clients("app", Clients::open(f64::NAN));
        assert_eq!(says(&rate), "plan: clients.app: `per_second` is NaN, allowed is 0 or more");
        let still = Clients::closed(1, Latency::fixed(SECOND)).spike(0.0, SECOND, SECOND);
        assert!(says(&plan().clients("app", still)).contains("`factor` is 0, allowed is more"));
        let attempts = plan().clients("app", Clients::open(1.0).attempts(0));
        assert!(says(&attempts).contains("`attempts`"));
    }

    #[test]
    fn a_plan_comes_back_from_json_and_an_unknown_field_is_refused() {
        let plan = plan().faults(Faults::new().slow("db", 2.0, SECOND, SECOND));
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        let misspelt = text.replace("run_for", "runs_for");
        let error = serde_json::from_str::<Plan>(&misspelt).unwrap_err().to_string();
        assert!(error.contains("runs_for") && error.contains("run_for"), "{error}");
    }

    #[test]
    fn the_trigger_spans_all_faults_and_spikes() {
        assert_eq!((plan().trigger_begin(), plan().trigger_end()), (None, None));
        let plan = plan()
            .faults(Faults::new().crash("db", 3 * SECOND, SECOND))
            .clients("app", Clients::open(1.0).spike(2.0, 2 * SECOND, 5 * SECOND));
        assert_eq!(plan.trigger_begin(), Some(2 * SECOND));
        assert_eq!(plan.trigger_end(), Some(7 * SECOND));
    }
}
