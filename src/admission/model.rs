//! The slots against a naive model, a number and a list of who waits: for the tests, and for
//! `fuzz/`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use crate::admission::{Enqueued, QueueLimit, QueueOrder, Shares, Slots, Waiter};
use crate::time::{self, Instant};

/// What happens to a limit.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // No part of the API.
pub enum Op {
    /// A call of this partition comes: 0, 1 or 2.
    Enter(usize),
    /// The n-th of those in flight leaves.
    Leave(usize),
    /// The n-th of those in line gives up, or of those that have been served and do not know it.
    GiveUp(usize),
    /// The n-th of those that have been served takes notice.
    Collect(usize),
    Resize(usize),
    /// In milliseconds.
    Wait(u64),
}

// The clock is a plain function: each test thread has its own time.
thread_local! {
    static START: Instant = time::now();
    static ELAPSED: AtomicU64 = const { AtomicU64::new(0) };
}

fn clock() -> Instant {
    let elapsed = ELAPSED.with(|elapsed| elapsed.load(Ordering::Relaxed));
    START.with(|start| *start) + Duration::from_millis(elapsed)
}

struct Model {
    limit: usize,
    shares: Vec<f64>,
    /// A share is all that a partition may use, not what it is promised.
    caps: bool,
    len: usize,
    order: QueueOrder,
    /// The partition of each call in flight.
    in_flight: Vec<usize>,
    /// Who has been served and has not taken notice: a number, and the partition.
    granted: Vec<(usize, usize)>,
    /// In the order in which they came: a number, and the partition.
    line: Vec<(usize, usize)>,
    standing_since: Option<Instant>,
}

impl Model {
    /// The partition of each slot that is taken.
    fn taken(&self) -> Vec<usize> {
        let granted = self.granted.iter().map(|(_, partition)| *partition);
        self.in_flight.iter().copied().chain(granted).collect()
    }

    fn admits(&self, partition: usize) -> bool {
        let taken = self.taken();
        let share = self.shares.get(partition);
        #[allow(clippy::cast_precision_loss)]
        let part = share.map_or(0.0, |share| (self.limit as f64 * share).ceil().max(1.0));
        if self.caps {
            #[allow(clippy::cast_precision_loss)]
            return (taken.len() as f64) < part;
        }
        if taken.len() < self.limit {
            return true;
        }
        let used = taken.iter().filter(|p| **p == partition).count();
        #[allow(clippy::cast_precision_loss)]
        return self.limit > 0 && (used as f64) < part;
    }

    /// Serves the line.
    fn serve(&mut self) {
        loop {
            let standing =
                self.standing_since.is_some_and(|at| clock() - at >= Duration::from_millis(100));
            let backwards = match self.order {
                QueueOrder::Fifo => false,
                QueueOrder::Lifo => true,
                QueueOrder::Adaptive => standing,
            };
            let free = self.taken().len() < self.limit;
            let next = if free && backwards {
                self.line.iter().rposition(|(_, p)| self.admits(*p))
            } else {
                self.line.iter().position(|(_, p)| self.admits(*p))
            };
            let Some(next) = next else { break };
            self.granted.push(self.line.remove(next));
        }
        if self.line.is_empty() {
            self.standing_since = None;
        }
    }
}

/// The slots and their model, side by side.
struct Twins {
    slots: Slots,
    model: Model,
    waiters: Vec<(usize, Waiter)>,
}

impl Twins {
    fn step(&mut self, number: usize, op: Op) {
        let Self { slots, model, waiters } = self;
        match op {
            Op::Wait(ms) => {
                ELAPSED.with(|elapsed| elapsed.fetch_add(ms, Ordering::Relaxed));
            }
            Op::Enter(partition) => self.enter(number, partition),
            Op::Leave(n) => {
                if let Some(leaving) = n.checked_rem(model.in_flight.len()) {
                    slots.release(model.in_flight.swap_remove(leaving));
                }
            }
            Op::GiveUp(n) => {
                if let Some(leaving) = n.checked_rem(waiters.len()) {
                    let (number, waiter) = waiters.swap_remove(leaving);
                    model.line.retain(|(waiting, _)| *waiting != number);
                    model.granted.retain(|(granted, _)| *granted != number);
                    slots.withdraw(waiter);
                }
            }
            Op::Collect(n) => {
                if let Some(served) = n.checked_rem(model.granted.len()) {
                    let (number, partition) = model.granted.swap_remove(served);
                    model.in_flight.push(partition);
                    let waits = waiters.iter().position(|(waiter, _)| *waiter == number);
                    slots.collect(waiters.swap_remove(waits.expect("it waited")).1);
                }
            }
            Op::Resize(limit) => {
                assert_eq!(slots.resize(limit), model.limit);
                model.limit = limit;
            }
        }
    }

    fn enter(&mut self, number: usize, partition: usize) {
        let Self { slots, model, waiters } = self;
        let owed = model.taken().len() >= model.limit && model.admits(partition);
        // Those who wait have been served as far as they may be: with caps they can be passed.
        let passes = model.line.is_empty() || model.caps;
        let expected = if passes && model.admits(partition) || owed {
            model.in_flight.push(partition);
            "admitted"
        } else if model.line.len() < model.len && model.limit > 0 {
            model.line.push((number, partition));
            model.standing_since.get_or_insert_with(clock);
            "waiting"
        } else {
            "full"
        };
        let entered = if slots.try_acquire(partition) {
            "admitted"
        } else {
            match slots.enqueue(partition) {
                Enqueued::Admitted => "admitted",
                Enqueued::Full => "full",
                Enqueued::Waiting(waiter) => {
                    waiters.push((number, waiter));
                    "waiting"
                }
            }
        };
        assert_eq!(entered, expected);
    }

    fn compare(&mut self) {
        let Self { slots, model, waiters } = self;
        model.serve();
        for (number, waiter) in waiters {
            let served = model.granted.iter().any(|(granted, _)| granted == number);
            assert_eq!(slots.poll(waiter, Waker::noop()), served);
        }
        assert_eq!(slots.in_flight(), model.taken().len());
        assert_eq!(slots.queued(), model.line.len());
        assert_eq!(slots.limit(), model.limit);
    }
}

/// Panics where the slots do otherwise than the model.
///
/// # Panics
///
/// There.
pub fn run(
    limit: usize,
    queue: (usize, QueueOrder),
    shares: &[f64],
    ops: impl IntoIterator<Item = Op>,
) {
    compare(limit, queue, (shares, false), ops);
}

/// As [`run`], with shares that are all a partition may use.
///
/// # Panics
///
/// There.
pub fn run_capped(
    limit: usize,
    queue: (usize, QueueOrder),
    caps: &[f64; 3],
    ops: impl IntoIterator<Item = Op>,
) {
    // A limit of 0 and caps do not go together: see the adaptive limit, whose least is 1.
    let ops = ops.into_iter().map(|op| match op {
        Op::Resize(limit) => Op::Resize(limit.max(1)),
        op => op,
    });
    compare(limit.max(1), queue, (caps, true), ops);
}

fn compare(
    limit: usize,
    (len, order): (usize, QueueOrder),
    (shares, caps): (&[f64], bool),
    ops: impl IntoIterator<Item = Op>,
) {
    let queue = QueueLimit { len, order };
    ELAPSED.with(|elapsed| elapsed.store(0, Ordering::Relaxed));
    let model = Model {
        limit,
        shares: shares.to_vec(),
        caps,
        len: queue.len,
        order: queue.order,
        in_flight: Vec::new(),
        granted: Vec::new(),
        line: Vec::new(),
        standing_since: None,
    };
    let shares =
        if caps { Shares::AtMost(shares.into()) } else { Shares::promised(shares.to_vec()) };
    let slots = Slots::new(limit, queue, shares, clock);
    let mut twins = Twins { slots, model, waiters: Vec::new() };
    for (number, op) in ops.into_iter().enumerate() {
        twins.step(number, op);
        twins.compare();
    }
}
