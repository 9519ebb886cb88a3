//! The best static limit there is for a workload, found by trying.

use std::time::Duration;

use super::trial::Trial;
use super::workload::Workload;
use crate::adaptive_limit::{Admitted, Algorithm, Ended};

/// The best that static limits can do for a workload.
#[derive(Clone, Debug)]
pub struct Oracle {
    limit: usize,
    tried: Vec<(usize, Trial)>,
}

impl Workload {
    /// Tries static limits, the same for every caller, and knows the best of them.
    #[must_use]
    pub fn best_static(&self, seed: u64) -> Oracle {
        // More than this only waits until it is of no use.
        let enough = (4.0 * self.server.capacity() * self.deadline.as_secs_f64()).max(16.0);
        let (mut tried, mut limit) = (Vec::new(), 1.0_f64);
        while limit < enough && limit <= 4096.0 {
            tried.push(self.tried(limit, seed));
            limit = (limit * 1.6).ceil();
        }
        for _ in 0..2 {
            let best = best_of(&tried);
            #[allow(clippy::cast_precision_loss)]
            let around = |n: usize| tried.get(n).map(|(limit, _): &(usize, _)| *limit as f64);
            let (below, at, above) =
                (best.checked_sub(1).and_then(around), around(best), around(best + 1));
            let mut between = Vec::new();
            for (low, high) in [(below, at), (at, above)] {
                if let (Some(low), Some(high)) = (low, high)
                    && high - low >= 2.0
                {
                    between.push((low * high).sqrt().round());
                }
            }
            for limit in between {
                let place = tried.partition_point(|(other, _)| (*other as f64) < limit);
                if tried.get(place).is_none_or(|(other, _)| *other as f64 != limit) {
                    tried.insert(place, self.tried(limit, seed));
                }
            }
        }
        let limit = tried[best_of(&tried)].0;
        Oracle { limit, tried }
    }

    fn tried(&self, limit: f64, seed: u64) -> (usize, Trial) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let trial = self.run(seed, |_| Box::new(Static(limit)));
        (limit as usize, trial)
    }
}

/// The one with the most goodput. Among those that differ by less than a thousandth, where chance
/// decides, the one that needs the least in flight, so that its latency is the lowest.
fn best_of(tried: &[(usize, Trial)]) -> usize {
    let most = tried.iter().map(|(_, trial)| trial.goodput()).fold(0.0, f64::max);
    tried.iter().position(|(_, trial)| trial.goodput() >= 0.999 * most).unwrap_or(0)
}

impl Oracle {
    /// The limit.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What it came to.
    #[must_use]
    pub fn trial(&self) -> &Trial {
        let best = self.tried.iter().find(|(limit, _)| *limit == self.limit);
        &best.expect("the best was tried").1
    }

    /// Answers in time, per second.
    #[must_use]
    pub fn goodput(&self) -> f64 {
        self.trial().goodput()
    }

    /// The 99th percentile of the latency of what was admitted.
    #[must_use]
    pub fn p99(&self) -> Duration {
        self.trial().p99()
    }

    /// What the static limit that is best for this part of the run has there, per second: another
    /// one for each phase.
    #[must_use]
    pub fn goodput_between(&self, from: Duration, until: Duration) -> f64 {
        self.tried.iter().map(|(_, trial)| trial.goodput_between(from, until)).fold(0.0, f64::max)
    }
}

/// A limit that stays as it is.
#[derive(Debug)]
struct Static(f64);

impl Algorithm for Static {
    fn limit(&self) -> f64 {
        self.0
    }

    fn admitted(&mut self, _: &Admitted) -> Option<u64> {
        None
    }

    fn ended(&mut self, _: &Ended) {}

    fn skip(&self) -> u32 {
        u32::MAX
    }
}
