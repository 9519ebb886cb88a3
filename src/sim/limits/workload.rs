//! [`Workload`]: what limits are tried on, as data.

use std::time::Duration;

use crate::sim::{Faults, Server};

/// A server, the callers before it, each with a limit of its own, and what changes meanwhile.
///
/// ```
/// use std::time::Duration;
/// use buttress::adaptive_limit::Cohort;
/// use buttress::sim::{Latency, Server, limits::Workload};
///
/// let ms = Duration::from_millis;
/// let server = Server::workers(32, Latency::exponential(ms(10)));
/// let overload = Workload::new(server, 2.0).network(ms(2)).run_for(Duration::from_secs(10));
///
/// let best = overload.best_static(1);
/// let trial = overload.run(1, |_| Box::new(Cohort::new()));
/// assert!(trial.goodput() > 0.9 * best.goodput());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Workload {
    /// Who works.
    pub server: Server,
    /// Who asks. Each has a limit of its own.
    pub callers: Vec<Caller>,
    /// How long a caller waits for an answer; later ones are of no use to it.
    pub deadline: Duration,
    /// How long it all lasts.
    pub run_for: Duration,
    /// What goes wrong with the server, which is called [`SERVER`](Self::SERVER) there.
    pub faults: Faults,
    /// The share of calls that fail at once, without work, for a reason that is not load.
    pub fast_errors: f64,
}

/// One who asks, with a limit of its own.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Caller {
    /// How much it asks for.
    pub demand: Demand,
    /// The way to the server and back, from each of these times on.
    pub network: Vec<(Duration, Duration)>,
    /// When it begins.
    pub joins: Duration,
}

/// How much a caller asks for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Demand {
    /// So many requests a second (Poisson) from each of these times on, whatever becomes of them.
    Open(Vec<(Duration, f64)>),
    /// So many clients that ask again as soon as they have an answer, and wait in front while the
    /// limit is reached.
    Waiting(u32),
    /// So many users who come back after a pause, whether they were answered or refused.
    Returning(u32, Duration),
}

impl Workload {
    /// The name of the server in [`faults`](Self::faults).
    pub const SERVER: &'static str = "server";

    /// One caller that asks for `load` times what the server can do, for a minute, without a
    /// network, and waits ten times as long as a call takes that is alone.
    #[must_use]
    pub fn new(server: Server, load: f64) -> Self {
        let rate = load * server.capacity();
        let deadline = 10 * server.latency.mean();
        Self {
            server,
            callers: vec![Caller::new(Demand::Open(vec![(Duration::ZERO, rate)]))],
            deadline,
            run_for: Duration::from_secs(60),
            faults: Faults::new(),
            fast_errors: 0.0,
        }
    }

    /// Every caller is this far away, there and back. The deadline grows with it.
    #[must_use]
    pub fn network(mut self, round_trip: Duration) -> Self {
        for caller in &mut self.callers {
            caller.network = vec![(Duration::ZERO, round_trip)];
        }
        self.deadline = 10 * (self.server.latency.mean() + round_trip);
        self
    }

    /// How long it all lasts.
    #[must_use]
    pub fn run_for(mut self, run_for: Duration) -> Self {
        self.run_for = run_for;
        self
    }

    /// How long a caller waits for an answer.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What goes wrong with the server.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// The share of calls that fail at once, without work, for a reason that is not load.
    #[must_use]
    pub fn fast_errors(mut self, share: f64) -> Self {
        self.fast_errors = share;
        self
    }

    /// Who asks, in place of the one caller.
    #[must_use]
    pub fn callers(mut self, callers: Vec<Caller>) -> Self {
        self.callers = callers;
        self
    }

    /// The load from each of these times on, as a multiple of what the server can do, in place of
    /// a load that stays: for the one caller there is.
    #[must_use]
    pub fn load(mut self, steps: impl IntoIterator<Item = (Duration, f64)>) -> Self {
        let capacity = self.server.capacity();
        let steps = steps.into_iter().map(|(at, load)| (at, load * capacity)).collect();
        for caller in &mut self.callers {
            caller.demand = Demand::Open(Vec::clone(&steps));
        }
        self
    }
}

impl Caller {
    /// Beside the server, from the start.
    #[must_use]
    pub fn new(demand: Demand) -> Self {
        Self { demand, network: vec![(Duration::ZERO, Duration::ZERO)], joins: Duration::ZERO }
    }

    /// How far it is to the server and back.
    #[must_use]
    pub fn network(mut self, round_trip: Duration) -> Self {
        self.network = vec![(Duration::ZERO, round_trip)];
        self
    }

    /// When it begins.
    #[must_use]
    pub fn joins(mut self, at: Duration) -> Self {
        self.joins = at;
        self
    }
}

/// The last value whose time has come, or the one of the first time.
pub(super) fn at<T: Copy>(steps: &[(Duration, T)], now: f64) -> Option<T> {
    let begun = steps.iter().rev().find(|(from, _)| from.as_secs_f64() * 1e9 <= now);
    begun.or(steps.first()).map(|(_, value)| *value)
}
