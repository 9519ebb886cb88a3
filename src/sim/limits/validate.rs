//! What of a [`Workload`] cannot be meant.

use std::fmt;
use std::time::Duration;

use super::workload::{Caller, Demand, Workload};

impl Workload {
    /// What cannot be meant, if anything.
    ///
    /// # Errors
    ///
    /// The first thing found: where it is, its value, and what is allowed.
    pub fn validate(&self) -> Result<(), WorkloadError> {
        let found = |place: String| move |says: String| WorkloadError { place, says };
        let server = self.server.nonsense().map(found("server".to_owned()));
        let callers =
            self.callers.iter().enumerate().find_map(|(index, caller)| {
                caller.nonsense().map(found(format!("callers[{index}]")))
            });
        let faults = self.faults.0.iter().enumerate().find_map(|(index, fault)| {
            let other = || format!("`server` is {:?}, allowed is {:?}", fault.server, Self::SERVER);
            let known = fault.server == Self::SERVER;
            let says = if known { fault.nonsense()? } else { other() };
            Some(found(format!("faults[{index}]"))(says))
        });
        let own = || self.nonsense().map(|(place, says)| found(place.to_owned())(says));
        match server.or(callers).or(faults).or_else(own) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn nonsense(&self) -> Option<(&'static str, String)> {
        let zero = "is 0, allowed is more".to_owned();
        if self.callers.is_empty() {
            Some(("callers", "there are none, allowed is one or more".to_owned()))
        } else if self.deadline.is_zero() {
            Some(("deadline", zero))
        } else if self.run_for.is_zero() {
            Some(("run_for", zero))
        } else if (0.0..=1.0).contains(&self.fast_errors) {
            None
        } else {
            Some(("fast_errors", format!("is {}, allowed is 0 to 1", self.fast_errors)))
        }
    }
}

impl Caller {
    fn nonsense(&self) -> Option<String> {
        let in_order = "allowed are times in their order";
        if !ascend(&self.network) {
            return Some(format!("`network` is {:?}, {in_order}", self.network));
        }
        match &self.demand {
            Demand::Open(steps) if !ascend(steps) => {
                Some(format!("`open` is {steps:?}, {in_order}"))
            }
            Demand::Open(steps) => {
                let sound = |rate: f64| rate.is_finite() && rate >= 0.0;
                let (_, rate) = steps.iter().find(|(_, rate)| !sound(*rate))?;
                Some(format!("`open` has a rate of {rate}, allowed is 0 or more"))
            }
            Demand::Waiting(0) | Demand::Returning(0, _) => {
                Some("nobody asks, allowed is 1 or more".to_owned())
            }
            // Who is refused and comes back at once would do so for ever, at the same instant.
            Demand::Returning(_, pause) if pause.is_zero() => {
                Some("`returning` after a pause of 0, allowed is more".to_owned())
            }
            Demand::Waiting(_) | Demand::Returning(..) => None,
        }
    }
}

fn ascend<T>(steps: &[(Duration, T)]) -> bool {
    steps.is_sorted_by(|(before, _), (after, _)| before < after)
}

/// A workload that cannot be meant: where, what it says, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadError {
    place: String,
    says: String,
}

impl fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "workload: {}: {}", self.place, self.says)
    }
}

impl std::error::Error for WorkloadError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Faults, Latency, Server};

    const SECOND: Duration = Duration::from_secs(1);

    fn workload() -> Workload {
        Workload::new(Server::workers(4, Latency::fixed(SECOND)), 1.0)
    }

    fn caller(demand: Demand) -> Workload {
        workload().callers(vec![Caller::new(Demand::Waiting(1)), Caller::new(demand)])
    }

    #[test]
    fn nonsense_is_named_with_its_place_its_value_and_what_is_allowed() {
        assert_eq!(workload().validate(), Ok(()));
        let mut crossed = caller(Demand::Waiting(1));
        crossed.callers[0].network = vec![(SECOND, SECOND), (SECOND, SECOND)];
        let elsewhere = Faults::new().crash("db", SECOND, SECOND);
        let beyond = Faults::new().errors(Workload::SERVER, 1.5, SECOND, SECOND);
        for (workload, says) in [
            (
                Workload::new(Server::workers(0, Latency::fixed(SECOND)), 1.0),
                "server: `workers` is 0, allowed is 1 or more",
            ),
            (workload().callers(Vec::new()), "callers: there are none, allowed is one or more"),
            (workload().deadline(Duration::ZERO), "deadline: is 0, allowed is more"),
            (workload().run_for(Duration::ZERO), "run_for: is 0, allowed is more"),
            (workload().fast_errors(1.5), "fast_errors: is 1.5, allowed is 0 to 1"),
            (workload().fast_errors(f64::NAN), "fast_errors: is NaN, allowed is 0 to 1"),
            (workload().load([(SECOND, -1.0)]), "callers[0]: `open` has a rate of -4, allowed is"),
            (workload().load([(SECOND, f64::INFINITY)]), "callers[0]: `open` has a rate of inf, "),
            (
                workload().load([(SECOND, 1.0), (Duration::ZERO, 1.0)]),
                "callers[0]: `open` is [(1s, 4.0), (0ns, 4.0)], allowed are times in their order",
            ),
            (crossed, "callers[0]: `network` is [(1s, 1s), (1s, 1s)], allowed are times"),
            (caller(Demand::Waiting(0)), "callers[1]: nobody asks, allowed is 1 or more"),
            (caller(Demand::Returning(0, SECOND)), "callers[1]: nobody asks"),
            (caller(Demand::Returning(1, Duration::ZERO)), "callers[1]: `returning` after a pause"),
            (workload().faults(elsewhere), r#"faults[0]: `server` is "db", allowed is "server""#),
            (workload().faults(beyond), "faults[0]: `share` is 1.5, allowed is a factor above 0"),
        ] {
            let error = workload.validate().unwrap_err().to_string();
            assert!(error.starts_with(&format!("workload: {says}")), "{error}\nnot {says}");
        }
    }

    #[test]
    #[should_panic(expected = "workload: fast_errors: is 2, allowed is 0 to 1")]
    fn a_run_of_nonsense_panics_with_what_it_is() {
        let _ = workload().fast_errors(2.0).best_static(1);
    }
}
