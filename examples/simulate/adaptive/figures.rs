//! How an algorithm did, in figures, and how that compares with what is asked.
//!
//! - *Goodput* is the number of answers within the caller's deadline, over the whole run, as a
//!   share of that of the oracle: the best static limit for the same workload and seed. More than 1
//!   is possible where something changes, since a static limit does not follow.
//! - *p99* is the 99th percentile of the time from admission to answer, of all calls that were
//!   admitted, those that timed out included with their deadline, as a ratio to the oracle's.
//! - *Back* is how long after a change the first second began in which the goodput was within 5 %
//!   of what the static limit that is best for this phase has in the settled part of it; of several
//!   changes the longest.
//! - *Jain* is the index of fairness of the callers' goodput: 1 if all had the same.

use std::time::Duration;

use buttress::sim::limits::{Oracle, Trial};

/// How far below the best the goodput may be when all is well again.
const TOLERANCE: f64 = 0.05;

/// What is asked of a limit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// The least share of the oracle's goodput, and the most times its 99th percentile.
    pub(crate) goodput: f64,
    pub(crate) p99: f64,
    /// When something changed, and how soon after that all must be well again.
    pub(crate) back: Option<Back>,
    /// How evenly several callers must fare, and from when on.
    pub(crate) jain: Option<(f64, Duration)>,
}

/// Phases, and how long after the begin of each the goodput must be back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Back {
    pub(crate) phases: Vec<(Duration, Duration)>,
    pub(crate) within: Duration,
}

/// How it did; as `Asked`, but for times in seconds, infinite for never.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    pub(crate) goodput: f64,
    pub(crate) p99: f64,
    pub(crate) back: Option<f64>,
    pub(crate) jain: Option<f64>,
}

/// Which of the figures are not as asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "one for each figure")]
pub(crate) struct Misses {
    pub(crate) goodput: bool,
    pub(crate) p99: bool,
    pub(crate) back: bool,
    pub(crate) jain: bool,
}

impl Asked {
    pub(crate) fn new(goodput: f64, p99: f64) -> Self {
        Self { goodput, p99, back: None, jain: None }
    }

    pub(crate) fn misses(&self, figures: &Figures) -> Misses {
        let within = self.back.as_ref().map_or(f64::INFINITY, |back| back.within.as_secs_f64());
        let least = self.jain.map_or(0.0, |(least, _)| least);
        // What is no number is not as asked.
        let (enough, fast) = (figures.goodput >= self.goodput, figures.p99 <= self.p99);
        Misses {
            goodput: !enough,
            p99: !fast,
            back: figures.back.is_some_and(|back| back > within),
            jain: figures.jain.is_some_and(|jain| jain < least),
        }
    }
}

impl Figures {
    pub(crate) fn of(trial: &Trial, oracle: &Oracle, asked: &Asked) -> Self {
        Self {
            goodput: trial.goodput() / oracle.goodput(),
            p99: trial.p99().as_secs_f64() / oracle.p99().as_secs_f64(),
            back: asked.back.as_ref().map(|back| longest(trial, oracle, back)),
            jain: asked.jain.map(|(_, from)| trial.jain(from)),
        }
    }

    /// Of several seeds, the worst of each figure.
    pub(crate) fn worst(all: &[Self]) -> Self {
        let (least, most) = (f64::min as fn(f64, f64) -> f64, f64::max as fn(f64, f64) -> f64);
        Self::folded(all, [least, most, most, least])
    }

    /// Of several seeds, the mean of each figure.
    pub(crate) fn mean(all: &[Self]) -> Self {
        let Self { goodput, p99, back, jain } = Self::folded(all, [|a, b| a + b; 4]);
        #[allow(clippy::cast_precision_loss, reason = "a handful of seeds")]
        let n = all.len() as f64;
        let mean = |sum: f64| sum / n;
        Self { goodput: mean(goodput), p99: mean(p99), back: back.map(mean), jain: jain.map(mean) }
    }

    fn folded(all: &[Self], with: [fn(f64, f64) -> f64; 4]) -> Self {
        let of = |with: fn(f64, f64) -> f64, figure: &dyn Fn(&Self) -> Option<f64>| {
            all.iter().filter_map(figure).reduce(with)
        };
        Self {
            goodput: of(with[0], &|f| Some(f.goodput)).unwrap_or(f64::NAN),
            p99: of(with[1], &|f| Some(f.p99)).unwrap_or(f64::NAN),
            back: of(with[2], &|f| f.back),
            jain: of(with[3], &|f| f.jain),
        }
    }
}

impl Misses {
    pub(crate) fn any(self) -> bool {
        self.goodput || self.p99 || self.back || self.jain
    }
}

fn longest(trial: &Trial, oracle: &Oracle, back: &Back) -> f64 {
    let after = |&(from, until): &(Duration, Duration)| {
        let best = oracle.goodput_between(from + back.within, until);
        let after = trial.back_after(from, until, best, TOLERANCE);
        after.map_or(f64::INFINITY, |after| after.as_secs_f64())
    };
    back.phases.iter().map(after).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: Figures = Figures { goodput: 0.98, p99: 1.2, back: Some(2.0), jain: Some(0.7) };

    fn asked() -> Asked {
        let back = Back { phases: Vec::new(), within: Duration::from_secs(2) };
        let jain = Some((0.7, Duration::ZERO));
        Asked { back: Some(back), jain, ..Asked::new(0.98, 1.2) }
    }

    #[test]
    fn what_is_just_as_asked_is_met_and_each_figure_can_miss() {
        let missed = |figures: Figures| asked().misses(&figures);
        assert!(!missed(FIGURES).any());
        let none = Misses::default();
        let goodput = Figures { goodput: 0.979, ..FIGURES };
        assert_eq!(missed(goodput), Misses { goodput: true, ..none });
        assert_eq!(missed(Figures { p99: 1.21, ..FIGURES }), Misses { p99: true, ..none });
        for never in [2.1, f64::INFINITY] {
            let back = Some(never);
            assert_eq!(missed(Figures { back, ..FIGURES }), Misses { back: true, ..none });
        }
        let jain = Some(0.69);
        assert_eq!(missed(Figures { jain, ..FIGURES }), Misses { jain: true, ..none });
        // What is not asked for cannot be missed.
        let slow = Figures { back: Some(9.0), jain: Some(0.1), ..FIGURES };
        assert!(!Asked::new(0.98, 1.2).misses(&slow).any());
    }

    #[test]
    fn no_figure_is_no_success() {
        let nothing = Figures { goodput: f64::NAN, p99: f64::NAN, ..FIGURES };
        let misses = asked().misses(&nothing);
        assert!(misses.goodput && misses.p99);
    }

    #[test]
    fn the_worst_and_the_mean_of_seeds() {
        let other = Figures { goodput: 1.0, p99: 1.0, back: Some(1.0), jain: Some(0.9) };
        let worst = Figures::worst(&[other, FIGURES, other]);
        assert_eq!(worst, FIGURES);
        let mean = Figures::mean(&[other, FIGURES]);
        assert!((mean.goodput - 0.99).abs() < 1e-12 && (mean.p99 - 1.1).abs() < 1e-12);
        assert_eq!(mean.back, Some(1.5));
        assert!(mean.jain.is_some_and(|jain| (jain - 0.8).abs() < 1e-12));
        let bare = Figures { back: None, jain: None, ..other };
        assert_eq!(Figures::worst(&[bare]), bare);
    }
}
