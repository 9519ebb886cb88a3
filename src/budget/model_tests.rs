//! The window against its naive model.

#![allow(clippy::cast_possible_wrap)] // Small numbers.

use proptest::prelude::*;

use crate::budget::ONE;
use crate::budget::model::{Model, Op, PER, WIDTH, run_unwatched, run_watched};
use crate::budget::ring::SPAN;

fn op() -> impl Strategy<Value = Op> {
    let wait = prop_oneof![
        8 => 0..2 * WIDTH,
        4 => 0..PER / 8,
        4 => 0..2 * PER,
        1 => Just(PER - 1),
        1 => Just(PER),
        1 => 0..40_000 * PER,
    ];
    prop_oneof![
        4 => wait.prop_map(Op::Wait),
        6 => (1u64..20, 0usize..4).prop_map(|(calls, thread)| Op::Calls(calls, thread)),
        1 => (1u64..2_000, 0usize..4).prop_map(|(calls, thread)| Op::Calls(calls, thread)),
        12 => Just(Op::Withdraw),
        2 => any::<usize>().prop_map(Op::Refund),
    ]
}

fn settings() -> impl Strategy<Value = (u32, i64)> {
    // Not so much that a slot is full: that has a test of its own.
    let ratio = prop_oneof![Just(1), Just(3_000), Just(10_000), 1u32..20_000];
    let floor = prop_oneof![Just(0), 0i64..100_000];
    (ratio, floor)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_window_ever_holds_more_than_ratio_and_floor_allow(
        (ratio, floor) in settings(),
        ops in prop::collection::vec(op(), 1..300),
    ) {
        run_unwatched(ratio, floor, ops);
    }

    #[test]
    fn what_is_dated_exactly_is_counted_exactly(
        (ratio, floor) in settings(),
        ops in prop::collection::vec(op(), 1..300),
    ) {
        run_watched(ratio, floor, ops);
    }

    /// Deposits that nobody asks about are kept back and dated early: at most a 64th of those in
    /// the window before, on each thread.
    #[test]
    fn little_of_what_is_kept_back_is_lost(
        batches in prop::collection::vec((1u64..5_000, 0..2 * PER), 1..20),
    ) {
        let (mut model, window) = Model::new(10_000, 0);
        for (calls, wait) in &batches {
            model.apply(&Op::Calls(*calls, 0), &window);
            model.apply(&Op::Wait(*wait), &window);
        }
        let largest: u64 = {
            let seen = |end: u64| {
                let inside = |at: u64| at <= end && at + PER > end;
                model.calls.iter().filter(|(at, _)| inside(*at)).map(|(_, n)| n).sum::<u64>()
            };
            model.calls.iter().map(|(at, _)| seen(*at)).max().unwrap()
        };
        let sliced = model.sliced();
        let balance = window.balance(model.epoch());
        prop_assert!(balance <= sliced);
        let strides = batches.len() as u64 * (largest / 64 + 1);
        prop_assert!(sliced - balance <= i64::from(ONE) * strides as i64, "{balance} of {sliced}");
    }
}

/// A slot holds some 200,000 attempts; what is beyond is lost, and nothing else.
#[test]
fn a_full_slot_takes_no_more_and_gives_all_back() {
    let (mut model, window) = Model::new(1_000_000, 50_000);
    model.apply(&Op::Calls(3_000, 0), &window);
    assert_eq!(window.balance(0), 50_000 + i64::from(i32::MAX));
    let booked = window.withdraw(0).unwrap();
    window.refund(booked);
    model.apply(&Op::Calls(3_000, 1), &window);
    model.now = WIDTH;
    model.apply(&Op::Calls(3_000, 0), &window);
    assert_eq!(window.balance(1), 50_000 + 2 * i64::from(i32::MAX));
    assert_eq!(window.balance(SPAN + 1), 50_000);
    assert_eq!(window.settled(), (50_000, 0));
}

/// As many withdrawals as a slot can hold, and one more.
#[test]
fn a_slot_that_can_book_no_more_refuses() {
    let floor = i64::from(i32::MAX) * 2;
    let (_, window) = Model::new(1, floor);
    let passed = std::iter::from_fn(|| window.withdraw(0)).count() as i64;
    let one = i64::from(ONE);
    assert_eq!(passed, i64::from(i32::MAX) / one);
    assert_eq!(window.balance(0), floor - passed * one);
    assert!(window.withdraw(1).is_some(), "the next slot is empty");
    assert_eq!(window.balance(SPAN + 2), floor);
}
