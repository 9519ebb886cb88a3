//! Who is served, and who is woken for it.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::task::Wake;

use super::*;
use crate::time;

#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

fn full_slots() -> Slots {
    let queue = QueueLimit { len: 3, order: QueueOrder::Fifo };
    let slots = Slots::new(1, queue, Shares::Alike, time::now);
    assert!(slots.try_acquire(0));
    slots
}

fn wait(slots: &Slots) -> (Waiter, Arc<Woken>) {
    let Enqueued::Waiting(waiter) = slots.enqueue(0) else { panic!("nobody can enter") };
    let woken = Arc::<Woken>::default();
    assert!(!slots.poll(&waiter, &woken.clone().into()));
    (waiter, woken)
}

/// Woken once, and with a slot.
#[track_caller]
fn assert_served(slots: &Slots, (waiter, woken): &(Waiter, Arc<Woken>)) {
    assert_eq!(woken.0.load(std::sync::atomic::Ordering::Relaxed), 1, "woken");
    assert!(slots.poll(waiter, Waker::noop()), "granted");
}

#[test]
fn a_slot_granted_to_one_who_leaves_goes_to_the_next() {
    let slots = full_slots();
    let [first, second, third] = [0; 3].map(|_| wait(&slots));
    slots.release(0);
    assert_served(&slots, &first);
    slots.withdraw(first.0);
    assert_served(&slots, &second);
    slots.withdraw(second.0);
    assert_served(&slots, &third);
    slots.withdraw(third.0);
    assert_eq!((slots.in_flight(), slots.queued()), (0, 0));
}

#[test]
fn raising_the_limit_wakes_those_who_can_enter() {
    let slots = full_slots();
    let [first, second, third] = [0; 3].map(|_| wait(&slots));
    slots.resize(3);
    assert_served(&slots, &first);
    assert_served(&slots, &second);
    assert!(!slots.poll(&third.0, Waker::noop()));
    assert_eq!((slots.in_flight(), slots.queued()), (3, 1));
}
