//! [`Gate`]: a limit before its caller, as the layer has it, without the service around it.

use crate::adaptive_limit::state::Machine;
use crate::adaptive_limit::{Admitted, Algorithm, Ended, Outcome, Range};
use std::time::Duration;
use tokio::time::Instant;

/// The largest limit that is tried, and the layer's own default.
pub(super) const MAX: usize = 10_000;

pub(super) struct Gate {
    machine: Machine<Box<dyn Algorithm>>,
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
    pub(super) fn new(algorithm: Box<dyn Algorithm>) -> Self {
        let machine = Machine::new(algorithm, Range::new(1, MAX));
        let mut gate = Self { machine, limit: 1, in_flight: 0, skip: 0, pressed: false };
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
        let mark = self.machine.admitted(Admitted::new(now, self.in_flight));
        self.follow();
        Some(Pass { mark })
    }

    pub(super) fn leave(&mut self, pass: Pass, now: Instant, latency: Duration, outcome: Outcome) {
        self.in_flight -= 1;
        if let Some(mark) = pass.mark {
            let (in_flight, pressed) = (self.in_flight, std::mem::take(&mut self.pressed));
            let call = Ended { in_flight, pressed, mark, ..Ended::new(now, latency, outcome) };
            self.machine.ended(call);
            self.follow();
        }
    }

    fn follow(&mut self) {
        self.limit = self.machine.limit();
        self.skip = self.machine.skip();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What it was shown: calls in flight at each admission, `pressed` and mark at each end.
    #[derive(Debug, Default)]
    struct Shown {
        admitted: Vec<usize>,
        ended: Vec<(bool, u64)>,
    }

    /// Two at once, and of five calls one is enough.
    struct Two(Arc<Mutex<Shown>>);

    impl Algorithm for Two {
        fn limit(&self) -> f64 {
            2.9
        }

        fn admitted(&mut self, call: &Admitted) -> Option<u64> {
            let mut shown = self.0.lock().unwrap();
            shown.admitted.push(call.in_flight);
            Some(shown.admitted.len() as u64)
        }

        fn ended(&mut self, call: &Ended) {
            self.0.lock().unwrap().ended.push((call.pressed, call.mark));
        }

        fn skip(&self) -> u32 {
            4
        }
    }

    #[test]
    fn skipped_calls_are_not_shown_and_a_refusal_ends_the_skipping() {
        let shown = Arc::new(Mutex::new(Shown::default()));
        let mut gate = Gate::new(Box::new(Two(Arc::clone(&shown))));
        let now = crate::time::now();
        assert_eq!(gate.limit(), 2, "rounded down");
        let end = |gate: &mut Gate, pass| gate.leave(pass, now, Duration::ZERO, Outcome::Answered);
        // Four are skipped, the fifth is shown, and its end.
        for _ in 0..5 {
            let pass = gate.try_enter(now).unwrap();
            end(&mut gate, pass);
        }
        assert_eq!(shown.lock().unwrap().admitted, [1]);
        assert_eq!(shown.lock().unwrap().ended, [(false, 1)]);

        let [first, second] = [gate.try_enter(now), gate.try_enter(now)].map(Option::unwrap);
        assert!(gate.try_enter(now).is_none(), "a third");
        assert_eq!(gate.in_flight(), 2);
        end(&mut gate, first);
        let third = gate.try_enter(now).unwrap();
        assert_eq!(shown.lock().unwrap().admitted, [1, 2], "the first after a refusal");
        end(&mut gate, third);
        end(&mut gate, second);
        assert_eq!(shown.lock().unwrap().ended, [(false, 1), (true, 2)]);
        assert_eq!(gate.in_flight(), 0);
    }
}
