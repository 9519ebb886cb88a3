//! [`Gate`]: a limit before its caller, as the layer has it, without the service around it.

use crate::adaptive_limit::{Admitted, Algorithm, Ended, Outcome, Range};
use std::time::Duration;
use tokio::time::Instant;

/// The largest limit that is tried, and the layer's own default.
pub(super) const MAX: usize = 10_000;

pub(super) struct Gate {
    algorithm: Box<dyn Algorithm>,
    limit: usize,
    in_flight: usize,
    skip: u32,
    pressed: bool,
}

/// What is remembered of a call that is in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    mark: Option<u64>,
}

impl Gate {
    pub(super) fn new(mut algorithm: Box<dyn Algorithm>) -> Self {
        algorithm.begin(Range::new(1, MAX));
        let mut gate = Self { algorithm, limit: 1, in_flight: 0, skip: 0, pressed: false };
        gate.follow();
        gate
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn has_room(&self) -> bool {
        self.in_flight < self.limit
    }

    pub(super) fn try_enter(&mut self, now: Instant) -> Option<Pass> {
        if !self.has_room() {
            self.pressed = true;
            self.skip = 0;
            return None;
        }
        self.in_flight += 1;
        if self.skip > 0 {
            self.skip -= 1;
            return Some(Pass { mark: None });
        }
        let mark = self.algorithm.admitted(&Admitted::new(now, self.in_flight));
        self.follow();
        Some(Pass { mark })
    }

    pub(super) fn leave(&mut self, pass: Pass, now: Instant, latency: Duration, outcome: Outcome) {
        self.in_flight -= 1;
        if let Some(mark) = pass.mark {
            let (in_flight, pressed) = (self.in_flight, std::mem::take(&mut self.pressed));
            let call = Ended { in_flight, pressed, mark, ..Ended::new(now, latency, outcome) };
            self.algorithm.ended(&call);
            self.follow();
        }
    }

    fn follow(&mut self) {
        // A cast saturates, and takes what is no number for 0.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let limit = self.algorithm.limit() as usize;
        self.limit = limit.clamp(1, MAX);
        self.skip = self.algorithm.skip();
    }
}
