//! A run against its plan: what an oracle could have had, and how long the way back took.

use std::time::Duration;

use super::{ClientReport, Report, ServerReport, moment, share};
use crate::sim::faults::{Condition, Faults};
use crate::sim::plan::Plan;
use crate::sim::server::Server;

/// The share of the requests sent in each second that must be good for a system to be well.
const WELL: f64 = 0.95;

impl Report {
    /// Goodput as a share of what an oracle could have had: at each moment all that was offered, or
    /// what the servers could at best do for it.
    ///
    /// Capacity is not carried over from one tenth of a second to the next, so a stack that works
    /// off a short line can come to slightly more than 1.
    #[must_use]
    pub fn goodput_of_oracle(&self) -> f64 {
        let oracle: f64 = self.oracle().iter().sum();
        #[allow(clippy::cast_precision_loss)]
        let good = self.good() as f64;
        if oracle > 0.0 { good / oracle } else { 1.0 }
    }

    /// What an oracle could have answered of the requests of each moment.
    #[must_use]
    pub fn oracle(&self) -> Vec<f64> {
        let moments = self.clients.values().map(|client| client.moments.len()).max().unwrap_or(0);
        #[allow(clippy::cast_precision_loss)]
        let offered = |client: &ClientReport, at: usize| {
            client.moments.get(at).map_or(0.0, |moment| moment.offered as f64)
        };
        let clients: Vec<_> = self.clients.values().collect();
        let servable = |server: &ServerReport, at: usize| {
            let all: f64 = server.callers.iter().map(|&c| offered(clients[c as usize], at)).sum();
            let capacity = server.moments.get(at).map_or(f64::INFINITY, |moment| moment.capacity);
            if all > capacity { capacity / all } else { 1.0 }
        };
        let of_client = |index: u32, at: usize| {
            let servers = self.servers.values().filter(|server| server.callers.contains(&index));
            let part = servers.map(|server| servable(server, at)).fold(1.0, f64::min);
            offered(clients[index as usize], at) * part
        };
        let indices = || (0..).take(clients.len());
        (0..moments).map(|at| indices().map(|index| of_client(index, at)).sum()).collect()
    }

    /// How long after the end of the last fault or spike the system was well again, and stayed so:
    /// from then on, of the requests that were sent in any one second, at least 95 % were answered
    /// inside their deadline. `None` if it was not, or not seen to be, by the end of the run; zero if there was no
    /// trigger and all was well.
    #[must_use]
    pub fn recovered_after(&self) -> Option<Duration> {
        self.recovered_over(Duration::from_secs(1))
    }

    /// The same by the requests of any `window` in place of a second. At high utilisation one bad
    /// second comes by chance now and then: in 20,000 runs, say, where a longer window tells better
    /// whether the way back was over.
    #[must_use]
    pub fn recovered_over(&self, window: Duration) -> Option<Duration> {
        let end = self.trigger.map_or(Duration::ZERO, |trigger| trigger.until);
        let len = usize::try_from(window.as_nanos() / self.moment.as_nanos()).ok()?;
        let totals = self.moments();
        let first = super::index(end, self.moment).min(totals.len());
        if self.trigger.is_some() && first == totals.len() {
            // Nothing was sent after it, so nobody knows.
            return None;
        }
        let mut windows = totals[first..].windows(len.min(totals.len() - first).max(1));
        let is_ill = |moments: &[(u64, u64)]| {
            let (good, offered) =
                moments.iter().fold((0, 0), |sum, moment| (sum.0 + moment.0, sum.1 + moment.1));
            share(good, offered) < WELL
        };
        let count = windows.len();
        let ill = windows.rposition(is_ill);
        match ill {
            None => Some(Duration::ZERO),
            Some(last) if last + 1 == count => None,
            Some(last) => Some(self.moment * u32::try_from(last + 1).ok()?),
        }
    }

    /// Good and offered, of all clients, over time.
    fn moments(&self) -> Vec<(u64, u64)> {
        let mut totals: Vec<(u64, u64)> = Vec::new();
        for client in self.clients.values() {
            for (at, of_client) in client.moments.iter().enumerate() {
                let total = moment(&mut totals, at);
                *total = (total.0 + of_client.good, total.1 + of_client.offered);
            }
        }
        totals
    }

    /// Fills in what follows from the plan.
    pub(in crate::sim) fn reckon(&mut self, plan: &Plan) {
        for (name, report) in &mut self.servers {
            report.reckon_capacity(name, &plan.servers[name], &plan.faults, plan.run_for);
        }
        for client in self.clients.values_mut() {
            client.latencies.sort_unstable();
        }
    }
}

impl ServerReport {
    fn reckon_capacity(&mut self, name: &str, server: &Server, faults: &Faults, until: Duration) {
        let mut at = Duration::ZERO;
        while at < until {
            let now = Condition::at(faults, name, at);
            let workers = f64::from(server.workers) * now.workers;
            let per_second = server.capacity_of(workers) * now.speed * now.yields();
            let step = self.step;
            self.moment(at).capacity = per_second * step.as_secs_f64();
            at += step;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_precision_loss)]

    use std::time::Duration;

    use crate::sim::{Clients, Faults, Latency, Plan, Report, Server, Sim};

    const SECOND: Duration = Duration::from_secs(1);

    /// A server whose requests all take 10 ms, and fail as `faults` says.
    fn run(faults: Faults, run_for: Duration) -> Report {
        let plan = Plan::new(run_for)
            .server("db", Server::workers(100, Latency::fixed(Duration::from_millis(10))))
            .clients("app", Clients::open(200.0))
            .faults(faults);
        Sim::new(3).run(&plan, |world| {
            let db = world.server("db");
            world.clients("app", db);
        })
    }

    #[test]
    fn recovery_is_counted_from_the_end_of_the_trigger_to_the_last_bad_second() {
        let errors = |from, lasting| Faults::new().errors("db", 1.0, from, lasting);
        assert_eq!(run(Faults::new(), 5 * SECOND).recovered_after(), Some(Duration::ZERO));
        let at_once = run(errors(2 * SECOND, SECOND), 8 * SECOND).recovered_after().unwrap();
        assert!(at_once <= Duration::from_millis(200), "{at_once:?}");
        // Ill until 2.5 s after what was meant for the trigger: its end is set by hand.
        let mut late = run(errors(2 * SECOND, 3 * SECOND), 9 * SECOND);
        late.trigger.as_mut().unwrap().until = Duration::from_millis(2_500);
        let after = late.recovered_after().unwrap();
        assert!((2_300..=2_700).contains(&after.as_millis()), "{after:?}");
        // A longer window reaches into health before it forgives what is left of the trouble.
        let over = late.recovered_over(2 * SECOND).unwrap();
        assert!(over + Duration::from_millis(300) >= after && over <= after, "{over:?}");
        // Ill to the end.
        let mut never = run(errors(2 * SECOND, 7 * SECOND), 8 * SECOND);
        never.trigger.as_mut().unwrap().until = 3 * SECOND;
        assert_eq!(never.recovered_after(), None);
    }

    #[test]
    fn the_oracle_is_bounded_by_what_is_offered_and_by_what_the_server_could_do() {
        let calm = run(Faults::new(), 5 * SECOND);
        assert!((calm.goodput_of_oracle() - 1.0).abs() < 1e-9, "{}", calm.goodput_of_oracle());
        // None for two of five seconds.
        let half = run(Faults::new().partition("db", 2 * SECOND, 2 * SECOND), 5 * SECOND);
        let oracle: f64 = half.oracle().iter().sum();
        let expected = half.offered() as f64 * 0.6;
        assert!((oracle / expected - 1.0).abs() < 0.1, "{oracle} against {expected}");
        assert!(half.goodput() < 0.65 && half.goodput_of_oracle() > 0.97);
        // Slow: 100 workers of 1 s do half of the 200 requests.
        let slow = run(Faults::new().slow("db", 100.0, SECOND, 3 * SECOND), 5 * SECOND);
        let oracle: f64 = slow.oracle()[10..40].iter().sum();
        assert!((oracle - 300.0).abs() < 10.0, "{oracle}");
    }
}
