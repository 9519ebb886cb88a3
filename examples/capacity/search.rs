//! Where the knee is: which load to try next, given what the loads before have shown.

use std::cmp::Ordering;

/// How fast the load rises until a step breaks.
const GROWTH: f64 = 1.5;

/// How close the load that holds and the one that breaks have to be.
const RESOLUTION: f64 = 1.03;

/// A load that was tried, and how often it held and broke.
#[derive(Clone, Copy, Debug)]
struct Trial {
    rate: f64,
    held: u32,
    broke: u32,
}

impl Trial {
    /// What most of its steps said; `None` where they disagree.
    fn verdict(&self) -> Option<bool> {
        match self.held.cmp(&self.broke) {
            Ordering::Greater => Some(true),
            Ordering::Less => Some(false),
            Ordering::Equal => None,
        }
    }
}

/// The load of the next step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Next {
    pub(crate) rate: f64,
    /// Whether it is tried again, so that chance has less of a say.
    pub(crate) again: bool,
}

/// The bounds of the knee.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    /// The highest load that held, of those below any that broke.
    pub(crate) holds: Option<f64>,
    /// The lowest load that broke.
    pub(crate) breaks: Option<f64>,
}

/// A search from below: the load grows by half until it breaks, is narrowed down by bisection, and
/// both ends are tried again.
///
/// On a machine that does other things too, a step may break by an accident, and one that is
/// slightly too much may hold by luck. So neither end counts before two of its steps agree; an end
/// that is overturned moves the search to where the others say that the knee is.
#[derive(Debug)]
pub(crate) struct Search {
    from: f64,
    to: f64,
    /// By load, ascending.
    trials: Vec<Trial>,
}

impl Search {
    pub(crate) fn new(from: f64, to: f64) -> Self {
        Self { from, to, trials: Vec::new() }
    }

    pub(crate) fn record(&mut self, rate: f64, held: bool) {
        let place = self.trials.binary_search_by(|trial| trial.rate.total_cmp(&rate));
        let place = place.unwrap_or_else(|place| {
            self.trials.insert(place, Trial { rate, held: 0, broke: 0 });
            place
        });
        let trial = &mut self.trials[place];
        *if held { &mut trial.held } else { &mut trial.broke } += 1;
    }

    /// `None` once the knee is known, or known not to be between the ends.
    pub(crate) fn next(&self) -> Option<Next> {
        let first = |rate| Some(Next { rate, again: false });
        let again = |trial: &Trial| Some(Next { rate: trial.rate, again: true });
        if let Some(torn) = self.trials.iter().find(|trial| trial.verdict().is_none()) {
            return again(torn);
        }
        match self.ends() {
            (None, None) => first(self.from),
            (Some(low), None) if low.rate < self.to => first((low.rate * GROWTH).min(self.to)),
            (Some(low), Some(high)) if high.rate / low.rate > RESOLUTION => {
                first((low.rate * high.rate).sqrt())
            }
            (_, Some(high)) if high.broke < 2 => again(high),
            (Some(low), _) if low.held < 2 => again(low),
            _ => None,
        }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        let (low, high) = self.ends();
        Bounds { holds: low.map(|low| low.rate), breaks: high.map(|high| high.rate) }
    }

    fn ends(&self) -> (Option<&Trial>, Option<&Trial>) {
        let is_high = |trial: &Trial| trial.verdict() == Some(false);
        let high = self.trials.iter().position(is_high);
        let below = &self.trials[..high.unwrap_or(self.trials.len())];
        let low = below.iter().rfind(|trial| trial.verdict() == Some(true));
        (low, high.map(|high| &self.trials[high]))
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Searches with `holds` as the target, which is told the load and the number of the step.
    fn found(mut search: Search, mut holds: impl FnMut(f64, usize) -> bool) -> (Bounds, usize) {
        for step in 0..60 {
            let Some(next) = search.next() else { return (search.bounds(), step) };
            search.record(next.rate, holds(next.rate, step));
        }
        panic!("no end after 60 steps: {search:?}");
    }

    #[test]
    fn the_knee_is_found_within_the_resolution_wherever_it_is() {
        for knee in [41.0, 60.0, 100.0, 199.9, 200.0, 333.0, 900.0] {
            let (bounds, steps) = found(Search::new(40.0, 1000.0), |rate, _| rate <= knee);
            let (low, high) = (bounds.holds.unwrap(), bounds.breaks.unwrap());
            assert!(low <= knee && knee < high && high / low <= RESOLUTION, "{knee}: {bounds:?}");
            assert!(steps <= 15, "{steps} steps for {knee}");
        }
    }

    #[test]
    fn the_load_rises_by_half_up_to_the_end_and_no_further() {
        let mut seen = Vec::new();
        let (bounds, _) = found(Search::new(40.0, 100.0), |rate, _| {
            seen.push(rate);
            true
        });
        assert_eq!(seen, [40.0, 60.0, 90.0, 100.0, 100.0]);
        assert_eq!(bounds, Bounds { holds: Some(100.0), breaks: None });
    }

    #[test]
    fn a_target_that_breaks_at_the_first_load_has_no_knee() {
        let (bounds, steps) = found(Search::new(40.0, 100.0), |_, _| false);
        assert_eq!(bounds, Bounds { holds: None, breaks: Some(40.0) });
        assert_eq!(steps, 2, "an accident at the first step is found out");
    }

    #[test]
    fn one_step_that_goes_wrong_moves_the_knee_nowhere() {
        let clean = found(Search::new(40.0, 1000.0), |rate, _| rate <= 200.0).1;
        for accident in 0..clean {
            let (bounds, _) =
                found(Search::new(40.0, 1000.0), |rate, step| (rate <= 200.0) ^ (step == accident));
            let (low, high) = (bounds.holds.unwrap(), bounds.breaks.unwrap());
            assert!(
                low <= 200.0 && 200.0 < high && high / low <= RESOLUTION,
                "step {accident}: {bounds:?}"
            );
        }
    }

    #[test]
    fn chance_near_the_knee_moves_it_by_little() {
        for seed in 0..200 {
            let mut chance = SmallRng::seed_from_u64(seed);
            // A coin whose odds change from 1 to 0 between 97 % and 103 % of the capacity.
            let (bounds, _) = found(Search::new(40.0, 1000.0), |rate, _| {
                chance.random::<f64>() > (rate / 200.0 - 0.97) / 0.06
            });
            let low = bounds.holds.unwrap();
            assert!((188.0..=206.0).contains(&low), "seed {seed}: {bounds:?}");
        }
    }
}
