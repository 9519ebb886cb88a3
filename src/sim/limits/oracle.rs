//! The best static limit there is for a workload, found by trying.

use std::time::Duration;

use super::trial::Trial;
use super::workload::Workload;
use crate::adaptive_limit::{Admitted, Algorithm, Ended};

/// The largest limit that is tried.
const MOST: usize = 4096;
/// From each limit that is tried to the next, before the search closes in.
const STEP: f64 = 1.6;
/// How often it closes in.
const ROUNDS: usize = 2;
/// Goodputs that differ by less are equal: there chance decides.
const EQUAL: f64 = 0.001;

/// The best that static limits can do for a workload: what a limit that adapts is measured by.
#[derive(Clone, Debug)]
pub struct Oracle {
    limit: usize,
    tried: Vec<(usize, Trial)>,
}

impl Workload {
    /// Tries static limits, the same for every caller, and knows the best of them: the one with
    /// the most goodput, and of those that are within a thousandth of it the least.
    ///
    /// The limits 1, 2, 4, 7, 12 and so on are tried, each 1.6 times the one before, up to four
    /// times what would fill the deadline (4096 at most); then twice those halfway to the
    /// neighbours of the best. That is about twenty runs.
    ///
    /// # Panics
    ///
    /// If the workload cannot be meant ([`Workload::validate`]).
    #[must_use]
    pub fn best_static(&self, seed: u64) -> Oracle {
        let tried = |limit| (limit, self.run(seed, |_| Box::new(Static::new(limit))));
        let mut all: Vec<(usize, Trial)> = ladder(self.enough()).map(tried).collect();
        for _ in 0..ROUNDS {
            for limit in around(&all, best_of(&all)) {
                let place = all.partition_point(|(other, _)| *other < limit);
                all.insert(place, tried(limit));
            }
        }
        Oracle { limit: all[best_of(&all)].0, tried: all }
    }

    /// More than this only waits until it is of no use.
    fn enough(&self) -> f64 {
        (4.0 * self.server.capacity() * self.deadline.as_secs_f64()).max(16.0)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn ladder(enough: f64) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1_usize), |limit| Some((*limit as f64 * STEP).ceil() as usize))
        .take_while(move |limit| *limit <= MOST && (*limit as f64) < enough)
}

/// The limits halfway (as factors) to the neighbours of this one, where there are any.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn around(tried: &[(usize, Trial)], best: usize) -> Vec<usize> {
    let pairs = tried[best.saturating_sub(1)..].windows(2).take(1 + usize::from(best > 0));
    pairs
        .map(|pair| (pair[0].0, pair[1].0))
        .filter(|(low, high)| high - low >= 2)
        .map(|(low, high)| (low as f64 * high as f64).sqrt().round() as usize)
        .collect()
}

/// The one with the most goodput; among equals the one that needs the least in flight, so that its
/// latency is the lowest.
fn best_of(tried: &[(usize, Trial)]) -> usize {
    let most = tried.iter().map(|(_, trial)| trial.goodput()).fold(0.0, f64::max);
    let enough = (1.0 - EQUAL) * most;
    tried.iter().position(|(_, trial)| trial.goodput() >= enough).unwrap_or(0)
}

impl Oracle {
    /// The limit.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What it came to.
    ///
    /// # Panics
    ///
    /// Never: the best is one of those that were tried.
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

    /// [`Trial::p99`] of the best.
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

/// A limit that stays as it is: the number that you have in your configuration today.
#[derive(Clone, Copy, Debug)]
pub struct Static(f64);

impl Static {
    /// This many calls at once.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
    pub fn new(limit: usize) -> Self {
        Self(limit as f64)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Latency, Server};

    fn overload() -> Workload {
        // Where more in flight is not only later but less: a best limit that is no corner.
        let law = Server::universal_scalability(
            Latency::exponential(Duration::from_millis(10)),
            0.02,
            0.01,
        );
        Workload::new(law, 2.0).run_for(Duration::from_secs(10))
    }

    #[test]
    fn it_finds_what_an_exhaustive_search_finds() {
        let (workload, seed) = (overload(), 3);
        let oracle = workload.best_static(seed);
        let all = (1..=80)
            .map(|limit| (limit, workload.run(seed, |_| Box::new(Static::new(limit))).goodput()));
        let all: Vec<_> = all.collect();
        let (best, most) = *all.iter().max_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap();
        assert!((3..40).contains(&best), "the best limit is no corner: {best}");
        assert!(oracle.goodput() >= 0.995 * most, "{} of {most}", oracle.goodput());
        assert!(oracle.limit().abs_diff(best) <= 2, "{} is not {best}", oracle.limit());
        let again = all[oracle.limit() - 1].1;
        assert!((again - oracle.goodput()).abs() < 1e-9, "the same limit, the same run");
    }

    #[test]
    fn of_equal_limits_the_least() {
        let trial = |good: u32| Trial { good: vec![vec![good]], ..Trial::new(Trial::SLICE, 1) };
        let tried = [(1, trial(500)), (2, trial(9991)), (4, trial(10_000)), (7, trial(9_000))];
        assert_eq!(best_of(&tried), 1);
        let tried = [(1, trial(500)), (2, trial(9989)), (4, trial(10_000)), (7, trial(10_000))];
        assert_eq!(best_of(&tried), 2);
        assert_eq!(best_of(&[(1, trial(0)), (2, trial(0))]), 0, "nothing is good: the least");
    }

    #[test]
    fn the_ladder_and_what_lies_between() {
        assert_eq!(ladder(16.0).collect::<Vec<_>>(), [1, 2, 4, 7, 12]);
        assert!(ladder(f64::INFINITY).last().is_some_and(|last| last <= MOST));
        let tried: Vec<_> = [1, 2, 4, 7].map(|limit| (limit, Trial::new(Trial::SLICE, 1))).into();
        assert_eq!(around(&tried, 2), [3, 5]);
        assert_eq!(around(&tried, 0), [0; 0]);
        assert_eq!(around(&tried, 3), [5]);
    }

    #[test]
    fn of_each_phase_the_best_for_it() {
        let secs = Duration::from_secs;
        let workload = overload().load([(secs(0), 0.2), (secs(5), 2.0)]);
        let oracle = workload.best_static(1);
        let (quiet, busy) = ((secs(0), secs(5)), (secs(5), secs(10)));
        for (from, until) in [quiet, busy] {
            let best = oracle.goodput_between(from, until);
            assert!(best >= oracle.trial().goodput_between(from, until));
        }
        assert!(
            oracle.goodput_between(busy.0, busy.1) > 2.0 * oracle.goodput_between(quiet.0, quiet.1)
        );
    }
}
