//! The script: how much load there is, and when; and the traffic, which is the same for all.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::pool::CAPACITY;

/// An answer is of use for this long after its call was due. Then nobody waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_millis(250);

/// The share of the calls that matter most.
const CRITICAL: f64 = 0.1;

/// One stretch of the script.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    /// In capacities of a server.
    pub(crate) load: f64,
    pub(crate) start: Duration,
    pub(crate) end: Duration,
}

impl Phase {
    pub(crate) fn contains(&self, at: Duration) -> bool {
        (self.start..self.end).contains(&at)
    }

    pub(crate) fn length(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }
}

/// The phases: their load, and the share of the run that each takes. The last is the longest, so
/// that a slow recovery shows.
const PHASES: [(&str, f64, f64); 5] = [
    ("0.5x", 0.5, 0.15),
    ("1x", 1.0, 0.20),
    ("2x", 2.0, 0.20),
    ("4x", 4.0, 0.20),
    ("0.5x again", 0.5, 0.25),
];

/// Where the phases are that promises speak of.
pub(crate) const ONCE: usize = 1;
pub(crate) const TWICE: usize = 2;
pub(crate) const FOUR_TIMES: usize = 3;
pub(crate) const AFTERWARDS: usize = 4;

/// The whole run.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) length: Duration,
    pub(crate) phases: [Phase; PHASES.len()],
}

impl Script {
    pub(crate) fn lasting(length: Duration) -> Self {
        let mut start = Duration::ZERO;
        let mut phases = PHASES.map(|(name, load, share)| {
            let end = (start + length.mul_f64(share)).min(length);
            let phase = Phase { name, load, start, end };
            start = end;
            phase
        });
        // The shares need not add up to exactly one in floating point.
        phases[AFTERWARDS].end = length;
        Self { length, phases }
    }

    /// What the figures over time are taken over: a second, or a twentieth of a shorter run.
    pub(crate) fn window(&self) -> Duration {
        (self.length / 20).min(Duration::from_secs(1))
    }
}

/// A call of the load generator: due at this time, whatever became of the calls before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrival {
    pub(crate) at: Duration,
    pub(crate) critical: bool,
}

/// Open-loop traffic: exponential gaps, drawn before the run, the same for every server.
pub(crate) fn arrivals(script: &Script, seed: u64) -> Vec<Arrival> {
    let mut chance = SmallRng::seed_from_u64(seed);
    let mut all = Vec::new();
    for phase in &script.phases {
        let mut at = phase.start;
        loop {
            // Gaps have no memory: one that a phase cuts short may begin anew in the next.
            let gap = -(1.0 - chance.random::<f64>()).ln() / (phase.load * CAPACITY);
            at += Duration::from_secs_f64(gap);
            if at >= phase.end {
                break;
            }
            all.push(Arrival { at, critical: chance.random_bool(CRITICAL) });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_cover_the_run_without_a_gap() {
        for seconds in [5.0, 12.0, 33.3, 60.0, 600.0] {
            let script = Script::lasting(Duration::from_secs_f64(seconds));
            assert_eq!(script.phases[0].start, Duration::ZERO);
            assert_eq!(script.phases[AFTERWARDS].end, script.length);
            for pair in script.phases.windows(2) {
                assert_eq!(pair[0].end, pair[1].start);
                assert!(pair[0].start < pair[0].end);
            }
        }
    }

    #[test]
    fn the_phases_that_promises_speak_of_have_the_load_that_they_say() {
        let script = Script::lasting(Duration::from_secs(60));
        let loads = [ONCE, TWICE, FOUR_TIMES, AFTERWARDS].map(|index| script.phases[index].name);
        assert_eq!(loads, ["1x", "2x", "4x", "0.5x again"]);
    }

    #[test]
    fn a_seed_repeats_the_traffic_and_its_rates_are_as_promised() {
        let script = Script::lasting(Duration::from_secs(100));
        let traffic = arrivals(&script, 1);
        assert_eq!(traffic, arrivals(&script, 1));
        assert_ne!(traffic, arrivals(&script, 2));
        assert!(traffic.is_sorted_by_key(|arrival| arrival.at));
        for phase in &script.phases {
            let calls = || traffic.iter().filter(|arrival| phase.contains(arrival.at));
            let expected = phase.load * CAPACITY * phase.length().as_secs_f64();
            let is_near = |count: usize, expected: f64| {
                let count = Duration::from_secs(count as u64).as_secs_f64();
                // Four standard deviations of a Poisson count.
                assert!((count - expected).abs() < 4.0 * expected.sqrt(), "{count}, {expected}");
            };
            is_near(calls().count(), expected);
            is_near(calls().filter(|arrival| arrival.critical).count(), expected * CRITICAL);
        }
    }
}
