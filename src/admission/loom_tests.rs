//! The interleavings of slots, waiters and limits: every one by loom, many by shuttle.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use crate::admission::{Enqueued, QueueLimit, QueueOrder, Shares, Slots, Waiter};
use crate::sync::schedules::{block_on, explore, thread};
use crate::time;

fn slots(limit: usize, queue: usize) -> Arc<Slots> {
    let queue = QueueLimit { len: queue, order: QueueOrder::Fifo };
    Arc::new(Slots::new(limit, queue, Shares::Alike, time::now))
}

/// Waits for its turn. A lost wakeup is a deadlock, which loom reports.
fn wait(slots: &Slots, waiter: Waiter) {
    block_on(poll_fn(|cx| {
        if slots.poll(&waiter, cx.waker()) { Poll::Ready(()) } else { Poll::Pending }
    }));
    slots.collect(waiter);
}

fn enter(slots: &Slots) {
    if slots.try_acquire(0) {
        return;
    }
    match slots.enqueue(0) {
        Enqueued::Admitted => {}
        Enqueued::Waiting(waiter) => wait(slots, waiter),
        Enqueued::Full => panic!("the line is long enough for all"),
    }
}

#[test]
fn loom_everybody_who_waits_is_served() {
    explore(3, || {
        let slots = slots(1, 3);
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let slots = slots.clone();
                thread::spawn(move || {
                    enter(&slots);
                    assert_eq!(slots.in_flight(), 1, "one slot, one call");
                    slots.release(0);
                })
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!((slots.in_flight(), slots.queued()), (0, 0));
    });
}

#[test]
fn loom_a_waiter_that_leaves_while_it_is_granted_loses_no_slot() {
    explore(3, || {
        let slots = slots(1, 2);
        assert!(slots.try_acquire(0));
        let Enqueued::Waiting(leaving) = slots.enqueue(0) else { panic!("the slot is taken") };
        let Enqueued::Waiting(staying) = slots.enqueue(0) else { panic!("the slot is taken") };
        let threads = [
            thread::spawn({
                let slots = slots.clone();
                move || slots.release(0)
            }),
            thread::spawn({
                let slots = slots.clone();
                move || slots.withdraw(leaving)
            }),
            thread::spawn({
                let slots = slots.clone();
                move || {
                    wait(&slots, staying);
                    slots.release(0);
                }
            }),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!((slots.in_flight(), slots.queued()), (0, 0));
        assert!(slots.try_acquire(0), "the slot is free, and nobody is thought to wait");
    });
}

#[test]
fn loom_raising_the_limit_serves_who_waits() {
    explore(3, || {
        let slots = slots(1, 2);
        assert!(slots.try_acquire(0));
        let raising = thread::spawn({
            let slots = slots.clone();
            move || slots.resize(2)
        });
        // Gets in line with the old limit or the new one: served either way, with nobody leaving.
        enter(&slots);
        raising.join().unwrap();
        assert_eq!(slots.in_flight(), 2);
        slots.release(0);
        slots.release(0);
        assert_eq!((slots.in_flight(), slots.queued()), (0, 0));
    });
}

/// More parties than loom gets through.
#[cfg(buttress_shuttle)]
#[test]
fn shuttle_no_slot_is_lost_among_callers_who_give_up_and_limits_that_move() {
    explore(0, || {
        let slots = slots(2, 5);
        let callers: Vec<_> = (0..5)
            .map(|number| {
                let slots = slots.clone();
                thread::spawn(move || {
                    if number % 2 == 0 {
                        enter(&slots);
                    } else if !slots.try_acquire(0) {
                        match slots.enqueue(0) {
                            Enqueued::Admitted => {}
                            Enqueued::Waiting(waiter) => return slots.withdraw(waiter),
                            Enqueued::Full => panic!("the line is long enough for all"),
                        }
                    }
                    assert!(slots.in_flight() <= 3, "more than any limit");
                    slots.release(0);
                })
            })
            .collect();
        for limit in [1, 3, 2] {
            slots.resize(limit);
        }
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!((slots.in_flight(), slots.queued()), (0, 0));
        assert!(slots.try_acquire(0) && slots.try_acquire(0) && !slots.try_acquire(0));
    });
}
