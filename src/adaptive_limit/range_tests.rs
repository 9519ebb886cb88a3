//! Every algorithm, through calls of any number that take anything and end in any way.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::state::Machine;
use super::{Admitted, Aimd, Algorithm, Cohort, Ended, Gradient, Outcome, Range, Vegas};
use crate::time;

/// What happens to a limit.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// So many calls come; those beyond the limit are refused.
    Enter(usize),
    /// So many of those in flight end like this, after this long whatever the clock says.
    End(usize, Outcome, Duration),
    /// Time goes on, or stands still.
    Wait(Duration),
}

/// From nothing to 60 days, and each size of it as often as the others.
fn any_time() -> impl Strategy<Value = Duration> {
    const SIXTY_DAYS: u64 = 60 * 86_400 * 1_000_000_000;
    (0..=SIXTY_DAYS, 0..=53_u32).prop_map(|(nanos, shift)| Duration::from_nanos(nanos >> shift))
}

fn ops() -> impl Strategy<Value = Op> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Answered),
        1 => Just(Outcome::TimedOut),
        1 => Just(Outcome::Overloaded),
        1 => Just(Outcome::Unknown),
    ];
    prop_oneof![
        3 => (1..80_usize).prop_map(Op::Enter),
        3 => (1..80_usize, outcome, any_time()).prop_map(|(n, of, took)| Op::End(n, of, took)),
        1 => any_time().prop_map(Op::Wait),
        1 => (0..200_u64).prop_map(|millis| Op::Wait(Duration::from_millis(millis))),
    ]
}

fn run<A: Algorithm>(name: &str, algorithm: A, range: Range, ops: &[Op]) {
    let mut machine = Machine::new(Watched { name, range, algorithm }, range);
    let (mut now, mut out, mut pressed, mut skip) = (time::now(), Vec::new(), false, 0);
    for &op in ops {
        match op {
            Op::Enter(calls) => {
                for _ in 0..calls {
                    if out.len() >= machine.limit() {
                        (pressed, skip) = (true, 0);
                    } else if skip > 0 {
                        skip -= 1;
                        out.push(None);
                    } else {
                        out.push(machine.admitted(Admitted::new(now, out.len() + 1)));
                        skip = machine.skip();
                    }
                }
            }
            Op::End(calls, outcome, latency) => {
                for _ in 0..calls.min(out.len()) {
                    // The oldest is not always the first.
                    let Some(mark) = out.swap_remove(calls % out.len()) else { continue };
                    let (in_flight, pressed) = (out.len(), std::mem::take(&mut pressed));
                    let call = Ended::new(now, latency, outcome);
                    machine.ended(Ended { in_flight, pressed, mark, ..call });
                    skip = machine.skip();
                }
            }
            Op::Wait(time) => now += time,
        }
    }
}

/// Looks at the limit whenever it may have moved.
#[derive(Debug)]
struct Watched<'a, A> {
    name: &'a str,
    range: Range,
    algorithm: A,
}

impl<A: Algorithm> Watched<'_, A> {
    #[allow(clippy::cast_precision_loss)]
    fn look(&self) {
        let (limit, range) = (self.algorithm.limit(), self.range);
        let inside = limit >= range.min as f64 && limit <= range.max as f64;
        assert!(inside, "{}: {limit} is not in {range:?}", self.name);
    }
}

impl<A: Algorithm> Algorithm for Watched<'_, A> {
    fn begin(&mut self, range: Range) {
        self.algorithm.begin(range);
        self.look();
    }

    fn limit(&self) -> f64 {
        self.algorithm.limit()
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        let mark = self.algorithm.admitted(call);
        self.look();
        mark
    }

    fn ended(&mut self, call: &Ended) {
        self.algorithm.ended(call);
        self.look();
    }

    fn skip(&self) -> u32 {
        self.algorithm.skip()
    }
}

proptest! {
    #[test]
    fn the_limit_is_a_number_in_its_range_whatever_happens(
        min in 1..40_usize,
        more in 0..2_000_usize,
        initial in proptest::option::of(0..=100_usize),
        ops in vec(ops(), 0..200),
    ) {
        let initial = initial.map(|percent| min + more * percent / 100);
        let range = Range { initial, ..Range::new(min, min + more) };
        run("Cohort", Cohort::new(), range, &ops);
        run("Aimd", Aimd::new(), range, &ops);
        run("Vegas", Vegas::new(), range, &ops);
        run("Gradient", Gradient::new(), range, &ops);
    }
}
