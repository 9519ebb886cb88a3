//! The script: what happens to payments, and when; and the traffic, which is the same for all.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The load generator stops waiting this long after a call's scheduled arrival.
pub(crate) const DEADLINE: Duration = Duration::from_millis(500);

/// How a service behind the storefront behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Answers at its usual pace.
    Healthy,
    /// Answers, but takes ten times as long.
    Slow,
    /// Answers 500 at once.
    Errors,
    /// Accepts connections, reads requests, never answers.
    Hanging,
    /// Its listener is closed and its connections are cut: connecting is refused.
    Refusing,
}

/// One stretch of the script.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) mood: Mood,
    pub(crate) start: Duration,
    pub(crate) end: Duration,
}

impl Phase {
    pub(crate) fn contains(&self, at: Duration) -> bool {
        (self.start..self.end).contains(&at)
    }
}

/// The phases, and the share of the run that each takes. The last is the longest, so that a slow
/// recovery shows.
const PHASES: [(&str, Mood, f64); 6] = [
    ("healthy", Mood::Healthy, 0.14),
    ("slow", Mood::Slow, 0.14),
    ("errors", Mood::Errors, 0.14),
    ("hanging", Mood::Hanging, 0.14),
    ("refusing", Mood::Refusing, 0.14),
    ("healthy again", Mood::Healthy, 0.30),
];

/// The whole run.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) length: Duration,
    pub(crate) phases: Vec<Phase>,
}

impl Script {
    pub(crate) fn lasting(length: Duration) -> Self {
        let mut start = Duration::ZERO;
        let phases = PHASES.map(|(name, mood, share)| {
            let end = (start + length.mul_f64(share)).min(length);
            let phase = Phase { name, mood, start, end };
            start = end;
            phase
        });
        let mut phases = phases.to_vec();
        // The shares need not add up to exactly one in floating point.
        phases[PHASES.len() - 1].end = length;
        Self { length, phases }
    }

    pub(crate) fn phase_at(&self, at: Duration) -> &Phase {
        let last = &self.phases[self.phases.len() - 1];
        self.phases.iter().find(|phase| phase.contains(at)).unwrap_or(last)
    }

    pub(crate) fn last(&self) -> &Phase {
        &self.phases[self.phases.len() - 1]
    }

    /// For how long payments is as slow as can be after it has come back: its caches are empty.
    pub(crate) fn cold(&self) -> Duration {
        (self.length / 20).min(Duration::from_secs(2))
    }

    /// When payments is itself again: whatever is wrong from here on is not its fault.
    pub(crate) fn trouble_ends(&self) -> Duration {
        self.last().start + self.cold()
    }

    /// What the figures over time are taken over: a second, or a twentieth of a shorter run.
    pub(crate) fn window(&self) -> Duration {
        (self.length / 20).min(Duration::from_secs(1))
    }
}

/// The storefront's routes, each with the service that it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Checkout,
    Catalog,
}

impl Route {
    pub(crate) const ALL: [Self; 2] = [Self::Checkout, Self::Catalog];

    pub(crate) fn name(self) -> &'static str {
        &self.path()[1..]
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Checkout => "/checkout",
            Self::Catalog => "/catalog",
        }
    }

    /// Calls a second, on average.
    fn rate(self) -> f64 {
        match self {
            Self::Checkout => 250.0,
            Self::Catalog => 150.0,
        }
    }
}

/// A call of the load generator: due at this time, whatever became of the calls before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrival {
    pub(crate) at: Duration,
    pub(crate) route: Route,
}

/// Open-loop traffic: exponential gaps, drawn before the run, the same for every storefront.
pub(crate) fn arrivals(length: Duration, seed: u64) -> Vec<Arrival> {
    let mut chance = SmallRng::seed_from_u64(seed);
    let mut all = Vec::new();
    for route in Route::ALL {
        let mut at = Duration::ZERO;
        loop {
            let gap = -(1.0 - chance.random::<f64>()).ln() / route.rate();
            at += Duration::from_secs_f64(gap);
            if at >= length {
                break;
            }
            all.push(Arrival { at, route });
        }
    }
    all.sort_by_key(|arrival| arrival.at);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_cover_the_run_without_a_gap() {
        for seconds in [5.0, 12.0, 20.0, 33.3, 600.0] {
            let script = Script::lasting(Duration::from_secs_f64(seconds));
            assert_eq!(script.phases[0].start, Duration::ZERO);
            assert_eq!(script.last().end, script.length);
            for pair in script.phases.windows(2) {
                assert_eq!(pair[0].end, pair[1].start);
                assert!(pair[0].start < pair[0].end);
            }
        }
    }

    #[test]
    fn a_seed_repeats_the_traffic_and_its_rate_is_as_promised() {
        let length = Duration::from_secs(100);
        let traffic = arrivals(length, 1);
        assert_eq!(traffic, arrivals(length, 1));
        assert_ne!(traffic, arrivals(length, 2));
        assert!(traffic.is_sorted_by_key(|arrival| arrival.at));
        let checkouts = traffic.iter().filter(|arrival| arrival.route == Route::Checkout).count();
        assert!((24_000..26_000).contains(&checkouts), "{checkouts} of about 25,000");
        assert!((14_000..16_000).contains(&(traffic.len() - checkouts)), "of about 15,000");
    }
}
