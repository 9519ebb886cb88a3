//! The window against its naive model.

#![allow(clippy::cast_possible_wrap)] // Small numbers.

use proptest::prelude::*;

use crate::budget::ONE;
use crate::budget::in_flight::InFlight;
use crate::budget::model::{Model, Op, PER, WIDTH, run_unwatched, run_watched};
use crate::budget::ring::SPAN;
use crate::budget::tokens::{Settings, Tokens};
use crate::classify::Class;

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

/// What an attempt does to the tokens, by gRFC A6 and the costs.
fn change(settings: &Settings, class: Class) -> i64 {
    match class {
        Class::Success => settings.ratio,
        Class::Transient => -settings.transient,
        Class::Overload { .. } => -settings.overload,
        _ => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The count is the whole history added up, inside its bounds; more than half lets pass.
    #[test]
    fn the_tokens_are_the_sum_of_their_history(
        (max, ratio) in (1i64..20, 1i64..30_000),
        (transient, overload) in (0i64..5, 1i64..5),
        classes in prop::collection::vec(0usize..5, 1..200),
    ) {
        let one = i64::from(ONE);
        let settings = || Settings {
            max: max * one,
            ratio,
            transient: transient * one,
            overload: overload * one,
        };
        let (tokens, mut count) = (Tokens::new(settings()), max * one);
        for class in classes {
            let class = [
                Class::Success,
                Class::Transient,
                Class::Overload { retry_after: None },
                Class::Permanent,
                Class::Ignore,
            ][class];
            tokens.judged(class);
            count = (count + change(&settings(), class)).clamp(0, max * one);
            prop_assert_eq!(tokens.allows(), 2 * count > max * one);
            // Failures by which none is left: by overloads, where transient ones cost nothing.
            let cost = if transient > 0 { transient } else { overload } * one;
            let failures = (0..=max).find(|n| 2 * (count - n * cost) <= max * one).unwrap();
            prop_assert_eq!(tokens.balance(), failures * one);
        }
    }

    /// What is in flight is what has begun and not ended, and no attempt passes beyond the ratio.
    #[test]
    fn attempts_in_flight_are_those_that_began_and_did_not_end(
        ratio in prop_oneof![Just(2_000u32), 1u32..30_000],
        at_least in 0u32..4,
        ops in prop::collection::vec(0..8, 1..200),
    ) {
        let budget = InFlight::new(ratio, at_least);
        let (mut originals, mut further) = (0u64, 0u64);
        for op in ops {
            let limit = (originals * u64::from(ratio)).max(u64::from(at_least) * u64::from(ONE));
            match op {
                0..=2 => {
                    budget.enter();
                    originals += 1;
                }
                3 if originals > 0 => {
                    budget.leave();
                    originals -= 1;
                }
                4..=6 => {
                    let passes = (further + 1) * u64::from(ONE) <= limit;
                    prop_assert_eq!(budget.withdraw(), passes);
                    further += u64::from(passes);
                }
                7 if further > 0 => {
                    budget.end();
                    further -= 1;
                }
                _ => {}
            }
            let limit = (originals * u64::from(ratio)).max(u64::from(at_least) * u64::from(ONE));
            let left = limit.saturating_sub(further * u64::from(ONE));
            prop_assert_eq!(budget.balance(), left);
        }
    }
}
