//! Time and allocations of a call.

use std::time::Duration;

use tokio::time::Instant;

use crate::cases::{self, Case};
use crate::drive::Subject;
use crate::instructions;

/// What a call of one case costs.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) ns: f64,
    /// None where nobody could count them.
    pub(crate) instructions: Option<f64>,
    pub(crate) allocations: f64,
}

pub(crate) const REPETITIONS: usize = 9;

/// Long enough that neither the clock's own cost nor a single interrupt is seen in it.
const REPETITION: Duration = Duration::from_millis(12);

/// Calls of a repetition where what a call costs depends on those before it.
const AFTER: u32 = 1_000;

/// Calls in which no layer records more than 64 samples.
const PORTION: u32 = 16;

/// The figures of every case, in their order.
pub(crate) fn all(cases: &[Case]) -> Vec<Figures> {
    let counts = instructions::of_all(cases).unwrap_or_else(|why| {
        println!("note: no instructions are counted: {why}");
        vec![None; cases.len()]
    });
    let mut times = Vec::with_capacity(cases.len());
    for row in cases.chunk_by(|a, b| a.row == b.row) {
        times.extend(interleaved(row));
        cases::drain();
    }
    let measured = cases.iter().zip(times).zip(counts);
    measured
        .map(|((case, ns), instructions)| Figures {
            ns,
            instructions,
            allocations: allocations(case),
        })
        .collect()
}

/// A subject that has seen traffic: what its first calls register is registered.
pub(crate) fn prepared(case: &Case) -> Box<dyn Subject> {
    let mut subject = (case.make)();
    subject.run(case.row().warm_up());
    subject
}

/// So many calls last one repetition.
pub(crate) fn calls_in(repetition: Duration, subject: &mut (impl Subject + ?Sized)) -> u32 {
    let mut calls = 1;
    loop {
        let spent = time(subject, calls);
        if spent >= repetition / 8 {
            let wanted = f64::from(calls) * repetition.as_secs_f64() / spent.as_secs_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "in range"
            )]
            return wanted.max(1.0) as u32;
        }
        calls *= 2;
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Nanoseconds of a call of each case of one row: all have a share of the machine's good and bad
/// moments, since they are measured in turns.
fn interleaved(row: &[Case]) -> Vec<f64> {
    let mut subjects: Vec<Timed<'_>> = row.iter().map(Timed::new).collect();
    for repetition in 0..REPETITIONS {
        let (later, first) = subjects.split_at_mut(repetition % row.len());
        first.iter_mut().chain(later).for_each(Timed::repeat);
    }
    subjects.into_iter().map(|timed| median(timed.ns)).collect()
}

struct Timed<'a> {
    case: &'a Case,
    subject: Box<dyn Subject>,
    calls: u32,
    ns: Vec<f64>,
}

impl<'a> Timed<'a> {
    fn new(case: &'a Case) -> Self {
        let mut subject = prepared(case);
        let calls = match case.row().recorded {
            Some(_) => AFTER,
            None => calls_in(REPETITION, &mut *subject),
        };
        Self { case, subject, calls, ns: Vec::with_capacity(REPETITIONS) }
    }

    fn repeat(&mut self) {
        if self.case.row().recorded.is_some() {
            self.subject = prepared(self.case);
        }
        let spent = time(&mut *self.subject, self.calls);
        self.ns.push(spent.as_secs_f64() * 1e9 / f64::from(self.calls));
    }
}

pub(crate) fn time(subject: &mut (impl Subject + ?Sized), calls: u32) -> Duration {
    let started = Instant::now();
    subject.run(calls);
    started.elapsed()
}

/// In a pass of its own: counting costs whoever allocates some time.
///
/// The recorder takes a block for 64 samples of a histogram, whoever records them. It has just
/// taken one where each portion is counted, and needs no other before the portion ends.
fn allocations(case: &Case) -> f64 {
    let portions = case.row().few().div_ceil(PORTION);
    let mut subject = prepared(case);
    let mut total = 0;
    for _ in 0..portions {
        cases::drain();
        subject.run(1);
        total += allocation_counter::measure(|| subject.run(PORTION)).count_total;
    }
    let total = u32::try_from(total).expect("few");
    f64::from(total) / f64::from(portions * PORTION)
}
