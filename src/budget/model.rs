//! The window against a naive model that keeps the whole history: for the tests, and for `fuzz/`.

#![allow(clippy::cast_possible_wrap)] // Small numbers.

use std::time::Duration;

use crate::budget::ONE;
use crate::budget::ratio::Ratio;
use crate::budget::ring::SPAN;
use crate::time;

/// Nanoseconds in an epoch, of a window of a second.
pub(super) const WIDTH: u64 = 1_000_000_000 / SPAN;
pub(super) const PER: u64 = WIDTH * SPAN;

/// What happens to a budget.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // No part of the API.
pub enum Op {
    /// In nanoseconds.
    Wait(u64),
    /// So many original calls in a row, on this thread.
    Calls(u64, usize),
    Withdraw,
    /// Gives back the n-th withdrawal that is out.
    Refund(usize),
}

#[derive(Debug)]
pub(super) struct Model {
    ratio: u32,
    floor: i64,
    pub(super) now: u64,
    pub(super) calls: Vec<(u64, u64)>,
    /// When, and under which epoch the window booked it.
    withdrawn: Vec<(u64, u64)>,
}

impl Model {
    pub(super) fn new(ratio: u32, floor: i64) -> (Self, Ratio) {
        let window = Ratio::new(ratio, Duration::from_nanos(PER), floor, time::now());
        (Self { ratio, floor, now: 0, calls: Vec::new(), withdrawn: Vec::new() }, window)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.now / WIDTH
    }

    pub(super) fn apply(&mut self, op: &Op, window: &Ratio) {
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
    pub(super) fn sliced(&self) -> i64 {
        let calls = |at: u64| at / WIDTH + SPAN > self.epoch();
        let withdrawals = |at: u64| at / WIDTH + 1 + SPAN > self.epoch();
        self.balance(calls, withdrawals)
    }
}

/// Panics if a window of time ever holds more than the contract allows. Nobody looks at the balance
/// in between, so that what is kept back stays back.
///
/// # Panics
///
/// There.
pub fn run_unwatched(ratio: u32, floor: i64, ops: impl IntoIterator<Item = Op>) {
    let (mut model, window) = Model::new(ratio, floor);
    for op in ops {
        let before = model.withdrawn.len();
        model.apply(&op, &window);
        if model.withdrawn.len() > before {
            assert!(model.exact() >= 0, "overdrawn by {}: {op:?}", -model.exact());
        }
    }
}

/// Panics where the window counts otherwise than the model. The balance is looked at after every
/// step, so that every deposit is dated exactly.
///
/// # Panics
///
/// There.
pub fn run_watched(ratio: u32, floor: i64, ops: impl IntoIterator<Item = Op>) {
    let (mut model, window) = Model::new(ratio, floor);
    for op in ops {
        let affordable = model.sliced() >= i64::from(ONE);
        let before = model.withdrawn.len();
        model.apply(&op, &window);
        if matches!(op, Op::Withdraw) {
            assert_eq!(model.withdrawn.len() > before, affordable);
        }
        // Collects: what comes next is dated from here.
        assert_eq!(window.balance(model.epoch()), model.sliced());
        let (balance, slots) = window.settled();
        assert_eq!(balance, floor + slots);
    }
}
