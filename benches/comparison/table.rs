//! The tables at the end: this crate beside the best of the others, and what it is to reach.

use crate::cases::shared::{self, LIMIT, Shared};
use crate::cases::{self, Case, OURS, TOWER};
use crate::contention::{self, Throughput};
use crate::measure::{self, Figures};
use crate::rows::{ROWS, Reach, Row};

pub(crate) fn print() {
    let cases = cases::all();
    let figures = measure::all(&cases);
    let table = Table { measured: cases.iter().zip(figures).collect() };
    table.print_subjects();
    print_contention();
    table.print_rows();
}

struct Table<'a> {
    measured: Vec<(&'a Case, Figures)>,
}

impl Table<'_> {
    /// Everybody, one line each.
    fn print_subjects(&self) {
        println!("\nOne call: time, instructions added to the bare service, allocations\n");
        println!("{:27} {:17} {:>11} {:>8} {:>7}", "", "", "ns", "instr.", "allocs");
        for (case, figures) in &self.measured {
            let added = number(self.added(case, figures), 0);
            let allocations = number(Some(figures.allocations), 2);
            let ns = figures.ns;
            println!("{:27} {:17} {ns:11.1} {added:>8} {allocations:>7}", case.row, case.whose);
        }
    }

    /// One line for each row.
    fn print_rows(&self) {
        println!("\nThis crate beside the best of the others (times: how much less it takes)\n");
        println!(
            "{:27} | {:>9} {:>7} {:>6} | {:>29} {:>25} {:>6} | {:>7} {:>7} | to reach",
            "", "ns", "instr.", "allocs", "best ns", "best instr.", "allocs", "ns", "instr.",
        );
        for row in ROWS {
            self.print_row(row);
        }
        println!("\nresponse future of the stack of 4: {} bytes (<= 256)", cases::size_of_four());
    }

    fn print_row(&self, row: &Row) {
        let ours = self.of(row, OURS);
        let ours_added = ours.and_then(|(case, figures)| self.added(case, figures));
        let ns = self.best(row, |_, figures| Some(figures.ns));
        let instructions = self.best(row, |case, figures| self.added(case, figures));
        let allocations = self.best(row, |_, figures| Some(figures.allocations));
        let best = |of: Option<(f64, &str)>, digits| {
            of.map_or_else(String::new, |(least, whose)| {
                format!("{whose} {}", number(Some(least), digits))
            })
        };
        let ratio = |of: Option<(f64, &str)>, mine: Option<f64>| {
            let times = of.zip(mine).filter(|(_, mine)| *mine > 0.0);
            times.map_or_else(String::new, |((least, _), mine)| format!("{:.1}x", least / mine))
        };
        let ours_ns = ours.map(|(_, figures)| figures.ns);
        println!(
            "{:27} | {:>9} {:>7} {:>6} | {:>29} {:>25} {:>6} | {:>7} {:>7} | {}",
            row.name,
            number(ours_ns, 1),
            number(ours_added, 0),
            number(ours.map(|(_, figures)| figures.allocations), 2),
            best(ns, 1),
            best(instructions, 0),
            number(allocations.map(|(least, _)| least), 2),
            ratio(ns, ours_ns),
            ratio(instructions, ours_added),
            self.verdict(row),
        );
    }

    /// What the row is to reach, and whether it does. Nothing of this crate allocates.
    fn verdict(&self, row: &Row) -> String {
        let Some((case, figures)) = self.of(row, OURS) else { return "(no layer yet)".into() };
        let (most, told) = match row.reach {
            Reach::Nothing => (None, String::new()),
            Reach::Instructions(most) => (Some(f64::from(most)), format!("<= {most}")),
            Reach::Another(whose, more) => {
                let other = self.of(row, whose);
                let other = other.and_then(|(case, figures)| self.added(case, figures));
                let told = if more == 0 { String::new() } else { format!(" + {more}") };
                (other.map(|other| other + f64::from(more)), format!("<= {whose}'s{told}"))
            }
        };
        let added = self.added(case, figures);
        let within = most.zip(added).map(|(most, added)| added <= most);
        let allocates = figures.allocations >= 0.005;
        match (within, allocates) {
            (_, true) => "MISSED: allocates".into(),
            (Some(false), _) => format!("{told} MISSED"),
            (Some(true), _) => format!("{told} met"),
            (None, _) => told,
        }
    }

    fn of(&self, row: &Row, whose: &str) -> Option<&(&Case, Figures)> {
        self.measured.iter().find(|(case, _)| case.row == row.name && case.whose == whose)
    }

    /// The least of the others', and whose it is.
    fn best(
        &self,
        row: &Row,
        figure: impl Fn(&Case, &Figures) -> Option<f64>,
    ) -> Option<(f64, &'static str)> {
        self.measured
            .iter()
            .filter(|(case, _)| case.row == row.name && !case.is_ours())
            .filter_map(|(case, figures)| Some((figure(case, figures)?, case.whose)))
            .min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// Instructions beyond those of the service with nothing around it.
    fn added(&self, case: &Case, figures: &Figures) -> Option<f64> {
        let Some(floor) = case.row().floor else { return figures.instructions };
        let bare = self.measured.iter().find(|(case, _)| case.row == floor);
        Some(figures.instructions? - bare?.1.instructions?)
    }
}

/// Nothing where there is no figure, and no digits after a whole one.
fn number(figure: Option<f64>, digits: usize) -> String {
    match figure {
        None => String::new(),
        Some(figure) if figure.fract() == 0.0 => format!("{figure:.0}"),
        Some(figure) => format!("{figure:.digits$}"),
    }
}

fn print_contention() {
    let subjects = shared::all();
    let figures = contention::all(&subjects);
    println!("\nOne shared layer: million calls per second of one thread, and of two together.");
    println!("The bare service shares nothing: its times are what the machine has to give.\n");
    println!("{:27} {:17} {:>8} {:>8} {:>7}  to reach", "", "", "one", "two", "times");
    for (subject, figure) in subjects.iter().zip(&figures) {
        let Throughput { alone, together, times } = *figure;
        let told = told(subject, *figure, limit(&subjects, &figures));
        let Shared { name, whose, .. } = subject;
        println!("{name:27} {whose:17} {alone:8.1} {together:8.1} {times:7.2}  {told}");
    }
}

/// That of tower's `ConcurrencyLimit`.
fn limit(subjects: &[Shared], figures: &[Throughput]) -> Throughput {
    let mut pairs = subjects.iter().zip(figures);
    let limit = pairs.find(|(subject, _)| subject.name == LIMIT && subject.whose == TOWER);
    *limit.expect("tower's limit is among them").1
}

fn told(subject: &Shared, figure: Throughput, limit: Throughput) -> String {
    let (told, met) = match subject.reach {
        None => return String::new(),
        Some(shared::Reach::Times(times)) => (format!(">= {times}x"), figure.times >= times),
        Some(shared::Reach::MoreThanConcurrencyLimit) => {
            let both = figure.alone > limit.alone && figure.together > limit.together;
            ("> tower's ConcurrencyLimit, twice".into(), both)
        }
    };
    format!("{told} {}", if met { "met" } else { "MISSED" })
}
