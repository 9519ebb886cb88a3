//! [`Workload`]: what limits are tried on, as data.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::nanos;
use super::written::{rates, ways};
use crate::rng::Rng;
use crate::serde::duration;
use crate::sim::latency::exponential;
use crate::sim::{Faults, Server};

/// A server, the callers before it, each with a limit of its own, and what changes meanwhile.
///
/// It is data: it goes to a file and comes back ([`serde`]).
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
///
/// let text = serde_json::to_string(&overload).unwrap();
/// assert_eq!(serde_json::from_str::<Workload>(&text).unwrap(), overload);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Workload {
    /// Who works.
    pub server: Server,
    /// Who asks. Each has a limit of its own.
    pub callers: Vec<Caller>,
    /// How long a caller waits for an answer, from admission on; later ones are of no use to it.
    #[serde(with = "duration")]
    pub deadline: Duration,
    /// How long it all lasts.
    #[serde(with = "duration")]
    pub run_for: Duration,
    /// What goes wrong with the server, which is called [`SERVER`](Self::SERVER) there.
    #[serde(default)]
    pub faults: Faults,
    /// The share of calls, 0 to 1, that fail at once, without work, for a reason that is not load.
    #[serde(default)]
    pub fast_errors: f64,
}

/// One who asks, with a limit of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Caller {
    /// How much it asks for.
    pub demand: Demand,
    /// The way to the server and back, from each of these times on; before the first of them as
    /// from there on. None is no way at all.
    #[serde(default, with = "ways")]
    pub network: Vec<(Duration, Duration)>,
    /// When it begins.
    #[serde(default, with = "duration")]
    pub joins: Duration,
}

/// How much a caller asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Demand {
    /// So many requests a second (Poisson) from each of these times on, whatever becomes of them;
    /// before the first of them as from there on.
    Open(#[serde(with = "rates")] Vec<(Duration, f64)>),
    /// So many clients that ask again as soon as they have an answer (after a millisecond if it
    /// took no time), and wait in front while the limit is reached, first come, first served.
    Waiting(u32),
    /// So many users who come back after a pause, whether they were answered or refused.
    Returning(u32, #[serde(with = "duration")] Duration),
}

impl Workload {
    /// The name of the server in [`faults`](Self::faults).
    pub const SERVER: &'static str = "server";

    /// One caller that asks for `load` times what the server can do, for a minute, without a
    /// network, and waits ten times as long as a call takes that is alone.
    ///
    /// What the server can do is its [`Server::capacity`]: that of the best concurrency, where that
    /// makes a difference.
    #[must_use]
    pub fn new(server: Server, load: f64) -> Self {
        let rate = load * server.capacity();
        let deadline = server.latency.mean().saturating_mul(10);
        Self {
            server,
            callers: vec![Caller::new(Demand::Open(vec![(Duration::ZERO, rate)]))],
            deadline,
            run_for: Duration::from_secs(60),
            faults: Faults::new(),
            fast_errors: 0.0,
        }
    }

    /// Every caller is this far away, there and back. The deadline becomes ten times what a call
    /// takes that is alone, the way included: set another one after this.
    #[must_use]
    pub fn network(mut self, round_trip: Duration) -> Self {
        for caller in &mut self.callers {
            caller.network = vec![(Duration::ZERO, round_trip)];
        }
        self.deadline = self.server.latency.mean().saturating_add(round_trip).saturating_mul(10);
        self
    }

    /// How long it all lasts. Default: a minute.
    #[must_use]
    pub fn run_for(mut self, run_for: Duration) -> Self {
        self.run_for = run_for;
        self
    }

    /// How long a caller waits for an answer, from admission on.
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

    /// The share of calls, 0 to 1, that fail at once, without work, for a reason that is not load.
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
    /// a load that stays. That is for the one caller there is; of several, each asks for as much.
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

    /// When it asks next, after `from`, if it is one that asks by itself; in nanoseconds.
    pub(super) fn next_arrival(&self, from: f64, rng: &mut Rng) -> Option<f64> {
        let Demand::Open(steps) = &self.demand else { return None };
        // In units of what is expected: a rate that changes takes the rest along.
        let (mut left, mut at) = (exponential(rng), from);
        loop {
            let rate = holding(steps, at).unwrap_or(0.0) / 1e9;
            let next = steps.iter().map(|(begin, _)| nanos(*begin)).find(|begin| *begin > at);
            let until = next.unwrap_or(f64::INFINITY);
            if rate * (until - at) > left {
                return Some(at + left / rate);
            }
            if until.is_infinite() {
                return None;
            }
            left -= rate * (until - at);
            at = until;
        }
    }

    /// The way to the server and back, in nanoseconds.
    pub(super) fn round_trip(&self, now: f64) -> f64 {
        holding(&self.network, now).map_or(0.0, nanos)
    }
}

/// The last value whose time has come, or the one of the first time.
fn holding<T: Copy>(steps: &[(Duration, T)], now: f64) -> Option<T> {
    let begun = steps.iter().rev().find(|(from, _)| nanos(*from) <= now);
    begun.or(steps.first()).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Latency;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_workload_comes_back_from_json_and_an_unknown_field_is_refused() {
        let callers = vec![
            Caller::new(Demand::Open(vec![(Duration::ZERO, 20.0), (SECOND, 40.5)])).joins(SECOND),
            Caller::new(Demand::Waiting(7)).network(Duration::from_millis(2)),
            Caller::new(Demand::Returning(9, SECOND)),
        ];
        let workload = Workload::new(Server::workers(2, Latency::fixed(SECOND)), 1.0)
            .callers(callers)
            .fast_errors(0.25)
            .faults(Faults::new().slow(Workload::SERVER, 2.0, SECOND, SECOND));
        let text = serde_json::to_string(&workload).unwrap();
        assert_eq!(serde_json::from_str::<Workload>(&text).unwrap(), workload);
        assert!(text.contains(r#""demand":{"open":[["0s",20.0],["1s",40.5]]}"#), "{text}");
        assert!(text.contains(r#""network":[["0s","2ms"]]"#), "{text}");
        let misspelt = text.replacen("deadline", "deadlines", 1);
        let error = serde_json::from_str::<Workload>(&misspelt).unwrap_err().to_string();
        assert!(error.contains("deadlines"), "{error}");
    }

    #[test]
    fn arrivals_follow_the_rate_of_each_time() {
        let secs = Duration::from_secs;
        let steps = vec![(secs(10), 50.0), (secs(20), 0.0), (secs(30), 200.0)];
        let caller = Caller::new(Demand::Open(steps));
        let (mut rng, mut at, mut seen) = (Rng::new(Some(5)), 0.0, [0_u32; 40]);
        while let Some(next) = caller.next_arrival(at, &mut rng).filter(|at| *at < 4e10) {
            assert!(next > at);
            at = next;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let second = (at / 1e9) as usize;
            seen[second] += 1;
        }
        let sum = |from: usize, until: usize| seen[from..until].iter().sum::<u32>();
        // Three deviations of a Poisson number.
        assert!(sum(0, 10).abs_diff(500) < 68, "before the first time as from there on");
        assert!(sum(10, 20).abs_diff(500) < 68, "{seen:?}");
        assert_eq!(sum(20, 30), 0);
        assert!(sum(30, 40).abs_diff(2000) < 135, "{seen:?}");
        let over = Caller::new(Demand::Open(vec![(secs(0), 1.0), (secs(1), 0.0)]));
        assert_eq!(over.next_arrival(2e9, &mut rng), None, "nobody asks any more");
    }

    #[test]
    fn a_step_that_changes_nothing_moves_no_arrival() {
        let secs = Duration::from_secs;
        let arrivals = |steps: Vec<_>| {
            let (caller, mut rng) = (Caller::new(Demand::Open(steps)), Rng::new(Some(9)));
            let next = |at: &f64| caller.next_arrival(*at, &mut rng);
            std::iter::successors(Some(0.0), next).take(100).collect::<Vec<f64>>()
        };
        let plain = arrivals(vec![(secs(0), 1.0)]);
        let stepped = arrivals((0..100).map(|at| (secs(at), 1.0)).collect());
        for (plain, stepped) in plain.iter().zip(&stepped) {
            assert!((plain - stepped).abs() < 1000.0, "{plain} and {stepped} ns");
        }
    }

    #[test]
    fn the_deadline_of_a_mean_without_end_does_not_overflow() {
        let endless = Server::workers(1, Latency::pareto(SECOND, 0.5));
        assert_eq!(Workload::new(endless, 1.0).network(SECOND).deadline, Duration::MAX);
    }
}
