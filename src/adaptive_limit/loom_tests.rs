//! The interleavings of slots, lock, and the words beside it: every one by loom, many by shuttle.

use std::sync::Arc;

use crate::adaptive_limit::limit::{Core, Shared};
use crate::adaptive_limit::state::Machine;
use crate::adaptive_limit::{Admitted, Algorithm, Ended, Range};
use crate::admission::{self, Limiter, Permit, QueueLimit, Shares, Slots};
use crate::classify::Class;
use crate::observe::Identity;
use crate::rejected::Reason;
use crate::sync::anchors::{Anchor, Anchors};
use crate::sync::schedules::{explore, thread};
use crate::time;

/// One more or one less with each end, in turn; counts what it is shown.
#[derive(Default)]
struct Swing {
    limit: usize,
    shown: usize,
    ended: usize,
    pressed: usize,
    skip: u32,
}

impl Algorithm for Swing {
    #[allow(clippy::cast_precision_loss)]
    fn limit(&self) -> f64 {
        self.limit as f64
    }

    fn admitted(&mut self, _: &Admitted) -> Option<u64> {
        self.shown += 1;
        Some(0)
    }

    fn ended(&mut self, call: &Ended) {
        self.ended += 1;
        self.pressed += usize::from(call.pressed);
        self.limit = if self.ended % 2 == 1 { self.limit + 1 } else { self.limit - 1 };
    }

    fn skip(&self) -> u32 {
        self.skip
    }
}

type Limit = Anchors<Shared<Swing, ()>>;

fn limit(limit: usize, skip: u32) -> Arc<Limit> {
    let queue = QueueLimit::default();
    let slots = Slots::new(limit, queue, Shares::Alike, time::now);
    let emitter = Identity::default().emitter("adaptive_limit", None);
    let full = Reason::LimitReached;
    let limiter = Limiter { slots, emitter, max_wait: None, shadow: false, full };
    let range = Range { min: 1, max: 9, initial: None };
    let machine = Machine::new(Swing { limit, skip, ..Swing::default() }, range);
    Arc::new(Anchors::new(Shared::new(Arc::new(Core::new(limiter, range)), machine, ())))
}

fn enter(limit: &Arc<Limit>) -> Option<Permit<Anchor<Shared<Swing, ()>>>> {
    admission::try_enter(limit, 0).ok()
}

#[test]
fn loom_the_slots_have_the_limit_that_the_algorithm_said_last() {
    explore(2, || {
        let limit = limit(2, 0);
        let mut first = enter(&limit).expect("there is room");
        let second = enter(&limit).expect("there is room");
        let settling = thread::spawn(move || first.settle(Class::Success));
        // One that goes away meanwhile.
        drop(second);
        settling.join().unwrap();
        let (slots, wanted) = limit.slots_and_machine(|machine| machine.limit());
        assert_eq!((slots.in_flight(), slots.limit()), (0, wanted));
    });
}

#[test]
fn loom_no_more_calls_are_skipped_than_it_said() {
    explore(2, || {
        let limit = limit(9, 1);
        drop(enter(&limit));
        // One may be skipped now: of two that come at once, exactly one; its end sets it anew.
        limit.slots_and_machine(|machine| machine.algorithm().skip = 0);
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let limit = limit.clone();
                thread::spawn(move || drop(enter(&limit)))
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
        drop(enter(&limit));
        let (_, shown) = limit.slots_and_machine(|machine| machine.algorithm().shown);
        assert_eq!(shown, 1 + 1 + 1, "the first, one of the two, and the last");
    });
}

#[test]
fn loom_whoever_is_refused_is_heard_of_though_an_end_comes_meanwhile() {
    explore(2, || {
        let limit = limit(1, 9);
        let held = enter(&limit);
        let refused = thread::spawn({
            let limit = limit.clone();
            move || enter(&limit).is_none()
        });
        drop(held);
        let refused = refused.join().unwrap();
        // The one in flight was not the last that is shown: the refusal ends the skipping, or was
        // heard of with the end.
        drop(enter(&limit));
        let heard = |machine: &mut Machine<Swing>| {
            let algorithm = machine.algorithm();
            (algorithm.pressed, algorithm.shown)
        };
        let (_, (pressed, shown)) = limit.slots_and_machine(heard);
        assert!(pressed > 0 || !refused, "nobody hears of a refusal; {shown} calls are shown");
    });
}
