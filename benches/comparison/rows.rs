//! The rows of the table, and what each is to reach.

use crate::cases::{GOVERNOR, TOWER};

/// One thing that several crates do.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The row of the same service with nothing around it: what is added to that is the cost.
    pub(crate) floor: Option<&'static str>,
    /// So many calls are recorded before those that are measured, where what a call costs may
    /// depend on it.
    pub(crate) recorded: Option<u32>,
    /// Whether what a call costs can be told in instructions: not where it sleeps.
    pub(crate) counted: bool,
    pub(crate) reach: Reach,
}

/// The most instructions that a layer of this crate may add.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    Nothing,
    Instructions(u32),
    /// Those of another crate, and so many more.
    Another(&'static str, u32),
}

pub(crate) const BARE: &str = "bare service";
pub(crate) const PENDING: &str = "bare service, pending";

use Reach::{Another, Instructions, Nothing};

/// In the order of the table. Every case belongs to one of them.
pub(crate) const ROWS: &[Row] = &[
    Row::of(BARE, Nothing).without_floor(),
    Row::of(PENDING, Nothing).without_floor(),
    Row::of("timeout, inner ready", Instructions(20)),
    Row::of("timeout, inner pending", Another(TOWER, 0)).pending(),
    Row::of("bulkhead", Instructions(60)),
    Row::of("bulkhead, queue", Nothing),
    Row::of("bulkhead full", Instructions(40)),
    Row::of("bulkhead full, runtime", Nothing).timed(),
    Row::of("breaker, consecutive", Instructions(70)),
    Row::of("breaker, rate over 10 s", Instructions(160)).after(1_000),
    Row::of("breaker, rate, 1e4 calls", Instructions(160)).after(10_000),
    Row::of("breaker, rate, 1e6 calls", Instructions(160)).after(1_000_000),
    Row::of("breaker open", Instructions(120)),
    Row::of("adaptive limit", Instructions(110)),
    Row::of("adaptive limit reached", Nothing),
    Row::of("load shed", Nothing),
    Row::of("load shed, not ready", Nothing),
    Row::of("throttle", Nothing),
    Row::of("throttle, refusing", Nothing),
    Row::of("retry with budget", Instructions(40)),
    Row::of("retry withheld", Nothing),
    Row::of("rate limit", Another(GOVERNOR, 30)),
    Row::of("rate limit, per key", Nothing),
    Row::of("rate limit exceeded", Another(GOVERNOR, 30)),
    Row::of("hedge, primary wins", Instructions(150)),
    Row::of("hedge, primary pending", Nothing).pending(),
    Row::of("observe, metrics", Nothing),
    Row::of("stack of 4", Instructions(160)),
    Row::of("stack of 8, metrics", Instructions(400)),
    Row::of("deadline passed, metrics", Nothing),
    Row::of("bulkhead full, metrics", Nothing),
    Row::of("queue full, metrics", Nothing),
    Row::of("breaker open, metrics", Nothing),
    Row::of("limit reached, metrics", Nothing),
    Row::of("not ready, metrics", Nothing),
    Row::of("throttled, metrics", Nothing),
    Row::of("rate limited, metrics", Nothing),
    Row::of("retry withheld, metrics", Nothing),
    Row::of("counter", Nothing).without_floor(),
    Row::of("histogram", Nothing).without_floor(),
];

impl Row {
    /// So many calls before anything is measured: windows, budgets and limits have seen traffic,
    /// and what is registered by the first call has been.
    pub(crate) fn warm_up(&self) -> u32 {
        self.recorded.unwrap_or_else(|| self.few())
    }

    /// So many calls are soon made.
    pub(crate) fn few(&self) -> u32 {
        if self.counted { 1_000 } else { 10 }
    }

    const fn of(name: &'static str, reach: Reach) -> Self {
        Self { name, floor: Some(BARE), recorded: None, counted: true, reach }
    }

    const fn pending(mut self) -> Self {
        self.floor = Some(PENDING);
        self
    }

    const fn without_floor(mut self) -> Self {
        self.floor = None;
        self
    }

    const fn timed(mut self) -> Self {
        self.counted = false;
        self
    }

    const fn after(mut self, calls: u32) -> Self {
        self.recorded = Some(calls);
        self
    }
}
