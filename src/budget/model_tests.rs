//! The window against a naive model that keeps the whole history.

#![allow(clippy::cast_possible_wrap)] // Small numbers.

use std::time::Duration;

use proptest::prelude::*;

use crate::budget::ONE;
use crate::budget::ratio::Ratio;
use crate::budget::ring::SPAN;
use crate::time;

/// Nanoseconds in an epoch, of a window of a second.
const WIDTH: u64 = 1_000_000_000 / SPAN;
const PER: u64 = WIDTH * SPAN;

#[derive(Clone, Debug)]
enum Op {
    Wait(u64),
    /// So many original calls in a row, on this thread.
    Calls(u64, usize),
    Withdraw,
    /// Gives back the n-th withdrawal that is out.
    Refund(usize),
}

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

#[derive(Debug)]
struct Model {
    ratio: u32,
    floor: i64,
    now: u64,
    calls: Vec<(u64, u64)>,
    /// When, and under which epoch the window booked it.
    withdrawn: Vec<(u64, u64)>,
}

impl Model {
    fn new(ratio: u32, floor: i64) -> (Self, Ratio) {
        let window = Ratio::new(ratio, Duration::from_nanos(PER), floor, time::now());
        (Self { ratio, floor, now: 0, calls: Vec::new(), withdrawn: Vec::new() }, window)
    }

    fn epoch(&self) -> u64 {
        self.now / WIDTH
    }

    fn apply(&mut self, op: &Op, window: &Ratio) {
        match *op {
            Op::Wait(nanos) => self.now += nanos,
            Op::Calls(calls, thread) => {
                self.calls.push((self.now, calls));
                (0..calls).for_each(|_| window.deposit_from(thread, self.epoch()));
            }
            Op::Withdraw => {
                if let Some(booked) = window.withdraw(self.epoch()) {
                    self.withdrawn.push((self.now, booked));
                }
            }
            Op::Refund(_) if self.withdrawn.is_empty() => {}
            Op::Refund(n) => {
                let (_, booked) = self.withdrawn.remove(n % self.withdrawn.len());
                window.refund(booked);
            }
        }
    }

    fn balance(&self, deposit: impl Fn(u64) -> bool, withdrawal: impl Fn(u64) -> bool) -> i64 {
        let calls: u64 = self.calls.iter().filter(|(at, _)| deposit(*at)).map(|(_, n)| n).sum();
        let out = self.withdrawn.iter().filter(|(at, _)| withdrawal(*at)).count();
        self.floor + i64::from(self.ratio) * calls as i64 - i64::from(ONE) * out as i64
    }

    /// To the nanosecond: the contract.
    fn exact(&self) -> i64 {
        let inside = |at: u64| at + PER > self.now;
        self.balance(inside, inside)
    }

    /// In whole epochs, each rounding to the safe side: what the window keeps of exact dates.
    fn sliced(&self) -> i64 {
        let calls = |at: u64| at / WIDTH + SPAN > self.epoch();
        let withdrawals = |at: u64| at / WIDTH + 1 + SPAN > self.epoch();
        self.balance(calls, withdrawals)
    }
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
        let (mut model, window) = Model::new(ratio, floor);
        for op in &ops {
            let before = model.withdrawn.len();
            model.apply(op, &window);
            if model.withdrawn.len() > before {
                prop_assert!(model.exact() >= 0, "overdrawn by {}: {op:?}", -model.exact());
            }
        }
    }

    #[test]
    fn what_is_dated_exactly_is_counted_exactly(
        (ratio, floor) in settings(),
        ops in prop::collection::vec(op(), 1..300),
    ) {
        let (mut model, window) = Model::new(ratio, floor);
        for op in &ops {
            let affordable = model.sliced() >= i64::from(ONE);
            let before = model.withdrawn.len();
            model.apply(op, &window);
            if matches!(op, Op::Withdraw) {
                prop_assert_eq!(model.withdrawn.len() > before, affordable);
            }
            // Collects: what comes next is dated from here.
            prop_assert_eq!(window.balance(model.epoch()), model.sliced());
            let (balance, slots) = window.settled();
            prop_assert_eq!(balance, floor + slots);
        }
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
