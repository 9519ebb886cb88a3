//! The limits on trial: what is asked of the default, and what each of the others makes of it.
//!
//! Each workload is first run with static limits, to know the best there is for it (the oracle,
//! [`Workload::best_static`](buttress::sim::limits::Workload::best_static)), then with each
//! algorithm in its default configuration, by the same seed: the same requests, the same work.
//!
//! `rows.rs` has the workloads of the table and what is asked there, `random.rs` those that are
//! drawn, `figures.rs` says how each figure is computed, `peers/` has the limits of other projects.
//! What is not modelled is told in [`buttress::sim::limits`].

pub(crate) mod algorithms;
mod describe;
mod draw;
mod figures;
mod peers;
mod random;
mod rows;
mod survey;
mod table;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use buttress::BoxError;
use buttress::sim::limits::Workload;

use crate::adaptive::algorithms::Candidate;
use crate::adaptive::figures::{Asked, Figures};
use crate::adaptive::rows::Row;
use crate::parallel::in_parallel;
use crate::{say, write};

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) seeds: Range<u64>,
    /// Only rows whose name contains it.
    pub(crate) row: Option<String>,
    /// Only this one.
    pub(crate) algorithm: Option<String>,
    /// So many workloads of `random.rs`, in place of the rows.
    pub(crate) random: Option<u64>,
    pub(crate) json: bool,
    pub(crate) plot: Option<PathBuf>,
}

/// What is run: a workload, with a seed.
struct Cell<'a> {
    workload: &'a Workload,
    asked: &'a Asked,
    seed: u64,
}

/// One workload with one seed: the oracle's, and what each candidate made of it, in their order.
struct Outcome {
    seed: u64,
    oracle: usize,
    figures: Vec<Figures>,
}

/// How many rows there are whose name contains this.
pub(crate) fn matching(part: Option<&str>) -> usize {
    rows::chosen(part).len()
}

/// Prints what was asked for. `false` if the default, or the one that was named, misses anything.
pub(crate) fn run(options: &Options) -> Result<bool, BoxError> {
    let candidates = algorithms::chosen(options.algorithm.as_deref());
    if let Some(path) = &options.plot {
        let row = rows::chosen(options.row.as_deref()).into_iter().next().ok_or("no such row")?;
        let svg = draw::render(&row, options.seeds.start, &candidates[0])?;
        return write(path, &svg).map(|()| true);
    }
    if options.random.is_some() {
        return survey::run(options, &candidates);
    }
    let rows = rows::chosen(options.row.as_deref());
    let mut cells = Vec::new();
    for Row { workload, asked, .. } in &rows {
        cells.extend(options.seeds.clone().map(|seed| Cell { workload, asked, seed }));
    }
    let outcomes = try_all(&cells, &candidates);
    let by_row: Vec<_> = rows.iter().zip(outcomes.chunks(cells.len() / rows.len())).collect();
    if options.json {
        say(&table::json(&by_row, &candidates)?)?;
    } else {
        say(&table::render(&by_row, &candidates)?)?;
    }
    Ok(table::all_met(&by_row, 0))
}

/// The oracle of each cell is found once, for all candidates: it is what takes time.
fn try_all(cells: &[Cell], candidates: &[Candidate]) -> Vec<Outcome> {
    let done = AtomicUsize::new(0);
    in_parallel(cells, |&Cell { workload, asked, seed }| {
        let oracle = workload.best_static(seed);
        let figures = candidates.iter().map(|candidate| {
            let trial = workload.run(seed, |_| (candidate.new)());
            Figures::of(&trial, &oracle, asked)
        });
        let outcome = Outcome { seed, oracle: oracle.limit(), figures: figures.collect() };
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        // Tenths, so that it can be read in a log too.
        if done * 10 / cells.len() > (done - 1) * 10 / cells.len() {
            eprintln!("{done} of {} runs, each with its oracle", cells.len());
        }
        outcome
    })
}
