//! What [`Aimd`], [`Vegas`] and [`Gradient`] have in common.

#![allow(clippy::float_cmp, reason = "limits that are whole numbers are so exactly")]

use std::time::Duration;

use super::{Admitted, Aimd, Algorithm, Ended, Gradient, Outcome, Range, Vegas};
use crate::time;
use proptest::collection::vec;
use proptest::prelude::*;

pub(super) fn range(min: usize, max: usize, initial: Option<usize>) -> Range {
    Range { initial, ..Range::new(min, max) }
}

pub(super) fn begun<A: Algorithm>(mut algorithm: A, range: Range) -> A {
    algorithm.begin(range);
    algorithm
}

/// The end of a call of that latency in seconds, admitted as one of so many.
pub(super) fn call(outcome: Outcome, latency: f64, in_flight: u64) -> Ended {
    let latency = Duration::from_secs_f64(latency);
    Ended { pressed: true, mark: in_flight, ..Ended::new(time::now(), latency, outcome) }
}

fn all() -> [Box<dyn Algorithm>; 3] {
    [Box::new(Aimd::new()), Box::new(Vegas::new()), Box::new(Gradient::new())]
}

/// Runs so many calls of that kind with a limit of up to 50 in use: the limit before and after.
fn run(algorithm: &mut dyn Algorithm, calls: usize, outcome: Outcome, latency: f64) -> (f64, f64) {
    let before = algorithm.limit();
    for _ in 0..calls {
        let admitted = Admitted::new(time::now(), 50);
        let mark = algorithm.admitted(&admitted).unwrap();
        algorithm.ended(&call(outcome, latency, mark));
    }
    (before, algorithm.limit())
}

#[test]
fn each_begins_where_it_is_told_to() {
    for mut algorithm in all() {
        assert_eq!(algorithm.limit(), 20.0);
        for (range, begins) in [
            (range(1, 200, None), 20.0),
            (range(1, 200, Some(7)), 7.0),
            (range(30, 200, None), 30.0),
            (range(1, 10, None), 10.0),
            (range(1, usize::MAX, Some(3)), 3.0),
        ] {
            algorithm.begin(range);
            assert_eq!(algorithm.limit(), begins);
        }
    }
}

#[test]
fn each_grows_by_good_answers_up_to_the_largest_limit() {
    for mut algorithm in all() {
        algorithm.begin(range(1, 50, Some(10)));
        let (before, after) = run(&mut *algorithm, 5, Outcome::Answered, 0.01);
        assert!(after > before);
        assert_eq!(run(&mut *algorithm, 100, Outcome::Answered, 0.01).1, 50.0);
    }
}

#[test]
fn each_shrinks_by_drops_down_to_the_least_limit() {
    for drop in [Outcome::TimedOut, Outcome::Overloaded] {
        for mut algorithm in all() {
            algorithm.begin(range(3, 50, Some(40)));
            run(&mut *algorithm, 20, Outcome::Answered, 0.01);
            let (before, after) = run(&mut *algorithm, 2, drop, 1.0);
            assert!(after < before);
            assert_eq!(run(&mut *algorithm, 100, drop, 1.0).1, 3.0);
        }
    }
}

#[test]
fn each_leaves_a_limit_alone_that_is_less_than_half_used() {
    for mut algorithm in all() {
        algorithm.begin(range(1, 500, Some(100)));
        for latency in [0.01, 0.01, 0.04, 0.01] {
            algorithm.ended(&call(Outcome::Answered, latency, 49));
            assert_eq!(algorithm.limit(), 100.0);
        }
    }
}

#[test]
fn none_learns_from_what_says_nothing() {
    for (mut told, mut untold) in all().into_iter().zip(all()) {
        told.begin(range(1, 200, Some(20)));
        untold.begin(range(1, 200, Some(20)));
        for latency in [0.01, 0.01, 0.03, 0.012, 0.02] {
            for nothing in [0.0, 0.001, 10.0] {
                told.ended(&call(Outcome::Unknown, nothing, 20));
            }
            told.ended(&call(Outcome::Answered, latency, 20));
            untold.ended(&call(Outcome::Answered, latency, 20));
            assert_eq!(told.limit(), untold.limit());
        }
    }
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Answered),
        1 => Just(Outcome::TimedOut),
        1 => Just(Outcome::Overloaded),
        1 => Just(Outcome::Unknown),
    ]
}

/// From nothing to 60 days, and each size of latency as often as the others.
fn latencies() -> impl Strategy<Value = Duration> {
    const SIXTY_DAYS: u64 = 60 * 86_400 * 1_000_000_000;
    (0..=SIXTY_DAYS, 0..=53_u32).prop_map(|(nanos, shift)| Duration::from_nanos(nanos >> shift))
}

proptest! {
    #[test]
    fn no_calls_lead_out_of_the_range(
        min in 1..50_u16,
        more in 0..500_u16,
        initial in proptest::option::of(0..1000_usize),
        calls in vec((outcomes(), latencies(), 0..600_u64), 0..400),
    ) {
        let max = min + more;
        for mut algorithm in all() {
            algorithm.begin(range(min.into(), max.into(), initial));
            for &(outcome, latency, mark) in &calls {
                algorithm.ended(&Ended { latency, ..call(outcome, 0.0, mark) });
                let limit = algorithm.limit();
                prop_assert!(limit >= f64::from(min) && limit <= f64::from(max), "{limit}");
            }
        }
    }
}
