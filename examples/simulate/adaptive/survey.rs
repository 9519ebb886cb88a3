//! Many workloads that were drawn: who finds the way through those that nobody thought of.

use std::fmt::{self, Write};

use buttress::BoxError;
use buttress::sim::limits::Workload;

use crate::adaptive::algorithms::Candidate;
use crate::adaptive::describe::describe;
use crate::adaptive::figures::Asked;
use crate::adaptive::table::{down, object};
use crate::adaptive::{Cell, Options, Outcome, random, try_all};
use crate::say;

/// What is asked of the mean, and of how many workloads how much.
const MEAN: f64 = 0.975;
const GOOD: f64 = 0.93;
const SHARE: f64 = 0.9;
/// How many of the worst are told.
const WORST: usize = 10;

/// The workloads from the first of the seeds on, each run with its own number for a seed. `false`
/// if the first candidate misses what is asked, or another one has a better mean.
pub(crate) fn run(options: &Options, candidates: &[Candidate]) -> Result<bool, BoxError> {
    let first = options.seeds.start;
    let drawn: Vec<(u64, Workload)> = (first..first + options.random.unwrap_or(0))
        .map(|seed| (seed, random::workload(seed)))
        .collect();
    // Whatever becomes of the latency: what is asked is goodput.
    let asked = Asked::new(0.0, f64::INFINITY);
    let cells: Vec<_> = drawn
        .iter()
        .map(|(seed, workload)| Cell { workload, asked: &asked, seed: *seed })
        .collect();
    let outcomes = try_all(&cells, candidates);
    if options.json {
        say(&json(&drawn, &outcomes, candidates)?)?;
    } else {
        say(&render(&drawn, &outcomes, candidates)?)?;
    }
    let standings: Vec<_> = (0..candidates.len()).map(|of| Standing::of(&outcomes, of)).collect();
    Ok(is_met(&standings))
}

/// How one fared over all workloads.
#[derive(Clone, Copy, Debug)]
struct Standing {
    mean: f64,
    /// The share of workloads with at least [`GOOD`].
    good: f64,
    worst: f64,
}

impl Standing {
    #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
    fn of(outcomes: &[Outcome], candidate: usize) -> Self {
        let shares: Vec<_> =
            outcomes.iter().map(|outcome| outcome.figures[candidate].goodput).collect();
        let n = shares.len() as f64;
        Self {
            mean: shares.iter().sum::<f64>() / n,
            good: shares.iter().filter(|share| **share >= GOOD).count() as f64 / n,
            worst: shares.iter().copied().fold(f64::INFINITY, f64::min),
        }
    }
}

fn is_met(standings: &[Standing]) -> bool {
    let [first, others @ ..] = standings else { return false };
    let best = others.iter().all(|other| other.mean < first.mean);
    first.mean >= MEAN && first.good >= SHARE && best
}

fn render(
    cells: &[(u64, Workload)],
    outcomes: &[Outcome],
    candidates: &[Candidate],
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    writeln!(
        out,
        "{} workloads drawn by the seeds {} to {}: goodput as a share of that of the best static\n\
         limit. Asked of {}: mean {MEAN}, at least {GOOD} in {:.0} % of them, the best mean of all.\n",
        cells.len(),
        cells[0].0,
        cells[cells.len() - 1].0,
        candidates[0].name,
        SHARE * 100.0,
    )?;
    writeln!(out, "{:<38}{:>6}{:>9}{:>8}", "", "mean", format!(">= {GOOD}"), "worst")?;
    let mut lines: Vec<_> = candidates
        .iter()
        .enumerate()
        .map(|(of, candidate)| (candidate.name, Standing::of(outcomes, of)))
        .collect();
    lines.sort_by(|(_, a), (_, b)| b.mean.total_cmp(&a.mean));
    for (name, Standing { mean, good, worst }) in lines {
        let (mean, good, worst) = (down(mean, 3), down(good * 100.0, 1), down(worst, 3));
        writeln!(out, "{name:<38}{mean:>6.3}{good:>7.1} %{worst:>8.3}")?;
    }
    let mut order: Vec<_> = cells.iter().zip(outcomes).collect();
    order.sort_by(|(_, a), (_, b)| a.figures[0].goodput.total_cmp(&b.figures[0].goodput));
    writeln!(out, "\nThe worst of {}:\n", candidates[0].name)?;
    for ((seed, workload), outcome) in order.into_iter().take(WORST) {
        let (share, oracle) = (down(outcome.figures[0].goodput, 3), outcome.oracle);
        writeln!(out, "{share:.3}  {seed}: {}; oracle {oracle}", describe(workload))?;
    }
    Ok(out)
}

/// Each workload and candidate as a line of JSON.
fn json(
    cells: &[(u64, Workload)],
    outcomes: &[Outcome],
    candidates: &[Candidate],
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    for ((_, workload), outcome) in cells.iter().zip(outcomes) {
        for (candidate, figures) in candidates.iter().zip(&outcome.figures) {
            let mut line = object(candidate, outcome, figures);
            line["workload"] = describe(workload).into();
            writeln!(out, "{line}")?;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adaptive::algorithms;
    use crate::adaptive::figures::Figures;

    fn outcomes(shares: &[[f64; 2]]) -> Vec<Outcome> {
        let figures = |goodput| Figures { goodput, p99: 1.0, back: None, jain: None };
        let outcome = |(seed, shares): (u64, &[f64; 2])| Outcome {
            seed,
            oracle: 8,
            figures: shares.map(figures).to_vec(),
        };
        (1..).zip(shares).map(outcome).collect()
    }

    fn met(shares: &[[f64; 2]]) -> bool {
        let outcomes = outcomes(shares);
        is_met(&[Standing::of(&outcomes, 0), Standing::of(&outcomes, 1)])
    }

    #[test]
    fn the_mean_the_many_and_the_others_are_judged() {
        assert!(met(&[[0.98, 0.9], [0.975, 0.9]]));
        assert!(!met(&[[0.98, 0.9], [0.96, 0.9]]), "its mean is too low");
        assert!(!met(&[[1.0, 0.9], [1.0, 0.9], [1.0, 0.9], [0.92, 0.9]]), "one in four is bad");
        assert!(!met(&[[0.98, 1.0], [0.98, 1.0]]), "another one is better");
    }

    #[test]
    fn the_worst_are_told_with_their_workload() {
        let cells: Vec<_> = (1..3).map(|seed| (seed, random::workload(seed))).collect();
        let text =
            render(&cells, &outcomes(&[[0.99, 0.5], [0.9, 1.0]]), &algorithms::all()[..2]).unwrap();
        let worst = format!("0.900  2: {}; oracle 8", describe(&cells[1].1));
        assert!(text.contains(&worst), "{text}");
        assert!(text.contains(" 0.945") && text.contains("50.0 %"), "{text}");
    }
}
