//! The rows as a table, and what the others make of them in short.

use std::fmt::{self, Write};

use serde_json::{Value, json};

use crate::adaptive::algorithms::Candidate;
use crate::adaptive::figures::{Figures, Misses};
use crate::adaptive::{Outcome, Row};

/// A row, and what came of it with each seed.
type Tried<'a> = (&'a Row, &'a [Outcome]);

/// Whether this candidate meets all of all rows with every seed.
pub(crate) fn all_met(rows: &[Tried], candidate: usize) -> bool {
    rows.iter().all(|row| !misses(row, candidate).any())
}

/// What the candidate misses with any of the seeds.
fn misses((row, outcomes): &Tried, candidate: usize) -> Misses {
    row.asked.misses(&Figures::worst(&figures(outcomes, candidate)))
}

fn figures(outcomes: &[Outcome], candidate: usize) -> Vec<Figures> {
    outcomes.iter().map(|outcome| outcome.figures[candidate]).collect()
}

pub(crate) fn render(rows: &[Tried], candidates: &[Candidate]) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let seeds = rows.first().map_or(0, |(_, outcomes)| outcomes.len());
    let first = candidates[0].name;
    writeln!(
        out,
        "{first}, in its default configuration: the worst and the mean of {seeds} seeds.\n\
         goodput: share of that of the best static limit; p99: as a ratio to its; back: seconds\n\
         after a change; Jain: fairness among callers. ! is less than what is asked.\n"
    )?;
    writeln!(
        out,
        "  {0:<31} oracle                goodput                     p99           back                Jain\n  \
           {0:<31}  limit   asked   worst   mean    asked   worst   mean  asked  worst  asked  worst  mean",
        ""
    )?;
    for row in rows {
        writeln!(out, "{}", line(row)?)?;
    }
    let met = rows.iter().filter(|row| !misses(row, 0).any()).count();
    writeln!(out, "\n{first} meets {met} of {} rows with every seed.", rows.len())?;
    if candidates.len() > 1 {
        in_short(&mut out, rows, candidates)?;
    }
    Ok(out)
}

/// One row of the first candidate.
fn line(tried: &Tried) -> Result<String, fmt::Error> {
    let out = &mut String::new();
    let (row, outcomes) = tried;
    let all = figures(outcomes, 0);
    let (worst, mean, misses) = (Figures::worst(&all), Figures::mean(&all), misses(tried, 0));
    let mark = |missed: bool| if missed { '!' } else { ' ' };
    let oracle = outcomes.iter().map(|outcome| outcome.oracle).max().unwrap_or(0);
    write!(out, "{} {:<31}{oracle:>7}", mark(misses.any()), row.name)?;
    write!(
        out,
        "{:>8.3}{:>8.3}{}{:>6.3}",
        row.asked.goodput,
        down(worst.goodput, 3),
        mark(misses.goodput),
        down(mean.goodput, 3),
    )?;
    write!(
        out,
        "{:>9.2}{:>8.2}{}{:>6.2}",
        row.asked.p99,
        up(worst.p99, 2),
        mark(misses.p99),
        up(mean.p99, 2)
    )?;
    match (&row.asked.back, worst.back) {
        (Some(asked), Some(back)) => {
            let asked = asked.within.as_secs_f64();
            write!(out, "{asked:>7.1}{back:>7.1}{}", mark(misses.back))?;
        }
        _ if row.asked.jain.is_some() => write!(out, "{:15}", "")?,
        _ => {}
    }
    if let (Some((asked, _)), Some(jain), Some(mean)) = (row.asked.jain, worst.jain, mean.jain) {
        let (jain, mean) = (down(jain, 2), down(mean, 2));
        write!(out, "{asked:>7.2}{jain:>7.2}{}{mean:>5.2}", mark(misses.jain))?;
    }
    Ok(out.trim_end().to_owned())
}

/// Of each candidate: how much of the oracle's goodput it has, and how many rows it meets.
fn in_short(out: &mut String, rows: &[Tried], candidates: &[Candidate]) -> fmt::Result {
    let mut lines: Vec<_> =
        (0..candidates.len()).map(|of| Short::of(rows, candidates, of)).collect();
    lines.sort_by(|a, b| b.mean.total_cmp(&a.mean));
    writeln!(
        out,
        "\nAll, each in its default configuration, by the mean of their share of the best goodput.\n\n\
         {:<38}{:>6}{:>8}{:>8}{:>8}{:>10}  worst row",
        "", "mean", "worst", "goodput", "p99 met", "all met"
    )?;
    for Short { name, mean, worst, goodput, p99, met, worst_row } in lines {
        let of = rows.len();
        writeln!(
            out,
            "{name:<38}{:>6.3}{:>8.3}{goodput:>8}{p99:>8}{:>10}  {worst_row}",
            down(mean, 3),
            down(worst, 3),
            format!("{met}/{of}"),
        )?;
    }
    Ok(())
}

struct Short {
    name: &'static str,
    /// Of the goodput share, over rows and seeds.
    mean: f64,
    worst: f64,
    /// In how many rows the goodput is as asked, the p99, and all of it.
    goodput: usize,
    p99: usize,
    met: usize,
    worst_row: &'static str,
}

impl Short {
    fn of(rows: &[Tried], candidates: &[Candidate], of: usize) -> Self {
        let all: Vec<_> = rows
            .iter()
            .flat_map(|(row, outcomes)| outcomes.iter().map(|o| (row.name, o.figures[of])))
            .collect();
        let figures: Vec<_> = all.iter().map(|(_, figures)| *figures).collect();
        let worst = all.iter().min_by(|(_, a), (_, b)| a.goodput.total_cmp(&b.goodput));
        let misses: Vec<_> = rows.iter().map(|row| misses(row, of)).collect();
        let count = |met: fn(&Misses) -> bool| misses.iter().filter(|misses| met(misses)).count();
        Self {
            name: candidates[of].name,
            mean: Figures::mean(&figures).goodput,
            worst: worst.map_or(f64::NAN, |(_, figures)| figures.goodput),
            goodput: count(|misses| !misses.goodput),
            p99: count(|misses| !misses.p99),
            met: count(|misses| !misses.any()),
            worst_row: worst.map_or("", |(row, _)| row),
        }
    }
}

/// Each row, seed and candidate as a line of JSON. A time that is never is null.
pub(crate) fn json(rows: &[Tried], candidates: &[Candidate]) -> Result<String, fmt::Error> {
    let mut out = String::new();
    for (row, outcomes) in rows {
        for outcome in *outcomes {
            for (candidate, figures) in candidates.iter().zip(&outcome.figures) {
                let mut line = object(candidate, outcome, figures);
                line["row"] = row.name.into();
                line["met"] = (!row.asked.misses(figures).any()).into();
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok(out)
}

pub(crate) fn object(candidate: &Candidate, outcome: &Outcome, figures: &Figures) -> Value {
    let mut line = json!({
        "seed": outcome.seed,
        "algorithm": candidate.name,
        "oracle_limit": outcome.oracle,
        "goodput": figures.goodput,
        "p99": figures.p99,
    });
    if let Some(back) = figures.back {
        line["back_seconds"] = json!(back);
    }
    if let Some(jain) = figures.jain {
        line["jain"] = json!(jain);
    }
    line
}

/// Rounded down to so many digits, so that what is below what is asked is never shown as met.
pub(crate) fn down(figure: f64, digits: i32) -> f64 {
    let unit = 10_f64.powi(digits);
    // What was written as 0.7 is just below 7 tenths.
    (figure * unit + 1e-9).floor() / unit
}

fn up(figure: f64, digits: i32) -> f64 {
    -down(-figure, digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adaptive::{algorithms, rows};

    fn outcome(seed: u64, goodputs: &[f64]) -> Outcome {
        let figures =
            |goodput: &f64| Figures { goodput: *goodput, p99: 1.0, back: None, jain: None };
        Outcome { seed, oracle: 40, figures: goodputs.iter().map(figures).collect() }
    }

    #[test]
    fn one_seed_that_misses_is_a_row_that_is_missed() {
        let row = &rows::rows()[0];
        let good = [outcome(1, &[0.99, 0.2]), outcome(2, &[0.985, 1.0])];
        assert!(all_met(&[(row, &good)], 0) && !all_met(&[(row, &good)], 1));
        let bad = [outcome(1, &[1.0]), outcome(2, &[0.9849])];
        assert!(!all_met(&[(row, &bad)], 0));

        let candidates = &algorithms::all()[..2];
        let text = render(&[(row, &good)], candidates).unwrap();
        assert!(text.contains("cohort meets 1 of 1 rows"), "{text}");
        assert!(text.lines().any(|line| line.starts_with("  M/M/32 load 0.5 ")), "{text}");
        let text = render(&[(row, &bad)], &candidates[..1]).unwrap();
        assert!(text.contains("\n! M/M/32 load 0.5 ") && text.contains("0.984!"), "{text}");
    }

    #[test]
    fn the_others_are_sorted_by_their_mean_and_named_with_their_worst_row() {
        let rows = rows::rows();
        let tried: [Tried; 2] =
            [(&rows[0], &[outcome(1, &[0.99, 1.0])]), (&rows[1], &[outcome(1, &[0.99, 1.0])])];
        let text = render(&tried, &algorithms::all()[..2]).unwrap();
        let short: Vec<_> = text.lines().rev().take(2).collect();
        assert!(short[1].starts_with("aimd ") && short[0].starts_with("cohort "), "{text}");
        assert!(short[0].contains("0.990") && short[0].contains("2/2"), "{text}");
        assert!(short[0].ends_with("  M/M/32 load 0.5"), "{text}");
    }

    #[test]
    fn rounding_never_flatters() {
        assert_eq!((down(0.9849, 3), down(0.7, 2), down(1.0, 3)), (0.984, 0.7, 1.0));
        assert_eq!((up(1.101, 2), up(1.1, 2)), (1.11, 1.1));
        assert!(up(f64::INFINITY, 2).is_infinite() && down(f64::NAN, 2).is_nan());
    }

    #[test]
    fn a_line_of_json_has_what_was_asked_for_alone() {
        let row = &rows::rows()[0];
        let text = json(&[(row, &[outcome(7, &[0.9])])], &algorithms::all()[..1]).unwrap();
        let line: Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["row"], "M/M/32 load 0.5");
        assert_eq!((&line["seed"], &line["met"]), (&json!(7), &json!(false)));
        assert!(line.get("jain").is_none() && line.get("back_seconds").is_none());
    }
}
