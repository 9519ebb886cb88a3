//! Where a system stays down when what brought it down is over.

use std::fmt::{self, Write};
use std::time::Duration;

use buttress::BoxError;
use buttress::sim::{Faults, Plan, Sim};

use crate::args::Options;
use crate::parallel::in_parallel;
use crate::scenario::{FROM, LASTING, Settings, db};
use crate::stack::{Stack, wire};
use crate::{plot, say, write};

/// What brings it down.
pub(crate) struct Trigger {
    pub(crate) what: &'static str,
    plan: fn(Settings) -> Plan,
}

pub(crate) const TRIGGERS: [Trigger; 4] = [
    Trigger { what: "nothing", plan: |s| db(s, Faults::new()) },
    Trigger {
        what: "paused for 1 s",
        plan: |s| db(s, Faults::new().pause("db", FROM, Duration::from_secs(1))),
    },
    Trigger {
        what: "10 times slower for 10 s",
        plan: |s| db(s, Faults::new().slow("db", 10.0, FROM, LASTING)),
    },
    Trigger {
        what: "9 of 10 workers lost for 10 s",
        plan: |s| db(s, Faults::new().lose_workers("db", 0.9, FROM, LASTING)),
    },
];

/// Utilisations, in percent.
pub(crate) const LOADS: [u32; 14] = [30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95];
pub(crate) const ATTEMPTS: [u32; 6] = [1, 2, 3, 4, 5, 6];

/// How long after the trigger a system should be well again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long it is then looked at. The run goes on for a second more: so long may answers take.
const LOOK: Duration = Duration::from_secs(4);
/// Below this share of good requests it is down.
pub(crate) const DOWN: f64 = 0.9;

/// One stack and one trigger: for each number of attempts and each load, the share of the seeds
/// in which the system was down.
pub(crate) struct Panel {
    pub(crate) stack: Stack,
    pub(crate) trigger: &'static Trigger,
    pub(crate) down: Vec<Vec<f64>>,
}

struct Cell {
    stack: Stack,
    trigger: &'static Trigger,
    settings: Settings,
}

/// The map of the naive stack, and beside it that of another.
pub(crate) fn draw(options: &Options) -> Result<(), BoxError> {
    let seeds = options.seeds.clone().unwrap_or(0..8);
    let stacks: &[Stack] = match options.stack {
        Stack::Naive => &[Stack::Naive],
        other => &[Stack::Naive, other],
    };
    let mut cells = Vec::new();
    for &stack in stacks {
        for trigger in &TRIGGERS {
            for attempts in ATTEMPTS {
                cells.extend(LOADS.map(|load| {
                    let utilisation = f64::from(load) / 100.0;
                    Cell { stack, trigger, settings: Settings { utilisation, attempts } }
                }));
            }
        }
    }
    let shares = in_parallel(&cells, |cell| {
        let down = seeds.clone().filter(|seed| is_down(cell, *seed)).count();
        #[allow(clippy::cast_precision_loss, reason = "a handful of seeds")]
        let share = down as f64 / seeds.clone().count() as f64;
        share
    });
    let rows: Vec<Vec<f64>> = shares.chunks(LOADS.len()).map(<[f64]>::to_vec).collect();
    let panels: Vec<Panel> = cells
        .chunks(LOADS.len() * ATTEMPTS.len())
        .zip(rows.chunks(ATTEMPTS.len()))
        .map(|(cells, rows)| {
            let Cell { stack, trigger, .. } = cells[0];
            Panel { stack, trigger, down: rows.to_vec() }
        })
        .collect();
    say(&table(&panels, seeds.clone().count())?)?;
    match &options.plot {
        Some(path) => write(path, &plot::render(&panels, seeds.count())?),
        None => Ok(()),
    }
}

fn is_down(cell: &Cell, seed: u64) -> bool {
    let mut plan = (cell.trigger.plan)(cell.settings);
    let from = plan.trigger_end().unwrap_or(FROM) + PATIENCE;
    plan.run_for = from + LOOK + Duration::from_secs(1);
    // What is still out then is of no interest.
    plan.drain = Duration::ZERO;
    let report = Sim::new(seed).run(&plan, |world| {
        wire(world, &plan, cell.stack, cell.settings.attempts);
    });
    report.goodput_between(from, from + LOOK) < DOWN
}

fn table(panels: &[Panel], seeds: usize) -> Result<String, fmt::Error> {
    let (after, good) = (PATIENCE.as_secs(), DOWN * 100.0);
    let mut out = String::new();
    writeln!(
        out,
        "In how many % of {seeds} seeds the system was down {after} s after the trigger: fewer than\n\
         {good:.0} % of the requests were good. Rows: attempts. Columns: utilisation in %."
    )?;
    for Panel { stack, trigger, down } in panels {
        write!(out, "\n{}, {}\n   ", stack.name(), trigger.what)?;
        for load in LOADS {
            write!(out, "{load:>5}")?;
        }
        for (attempts, row) in ATTEMPTS.iter().zip(down).rev() {
            write!(out, "\n{attempts:>3}")?;
            for share in row {
                match share * 100.0 {
                    0.0 => write!(out, "    .")?,
                    percent => write!(out, "{percent:>5.0}")?,
                }
            }
        }
        writeln!(out)?;
    }
    Ok(out)
}
