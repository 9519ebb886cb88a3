//! The interleavings of deposits, withdrawals, refunds and the turn of an epoch: every one by loom,
//! many by shuttle.
//!
//! Windows of two epochs, in a ring of four slots.

use std::sync::Arc;
use std::time::Duration;

use crate::budget::ONE;
use crate::budget::in_flight::InFlight;
use crate::budget::ratio::Ratio;
use crate::budget::ring::{Ring, SLOTS, SPAN};
use crate::budget::tokens::{Settings, Tokens};
use crate::classify::Class;
use crate::sync::schedules::{explore, thread};
use crate::time;

const UNITS: i64 = ONE as i64;

fn ring(floor: i64) -> Arc<Ring> {
    Arc::new(Ring::new(floor * UNITS))
}

/// Once nobody is at it, the balance is what the floor and the slots say.
#[track_caller]
fn adds_up((balance, slots): (i64, i64), floor: i64) {
    assert_eq!(balance, floor * UNITS + slots);
}

#[test]
fn loom_budget_no_token_is_taken_twice() {
    explore(2, || {
        let window = Ratio::new(u32::from(ONE / 2), Duration::from_secs(1), 0, time::now());
        let window = Arc::new(window);
        window.deposit(|| 0);
        let takers = [(); 2].map(|()| {
            let window = window.clone();
            thread::spawn(move || u32::from(window.withdraw(0).is_some()))
        });
        let payer = {
            let window = window.clone();
            thread::spawn(move || window.deposit(|| 0))
        };
        let taken: u32 = takers.map(|taker| taker.join().unwrap()).into_iter().sum();
        payer.join().unwrap();
        assert!(taken <= 1, "two halves pay for one");
        assert_eq!(window.withdraw(0).is_some(), taken == 0, "and for no less than one");
        adds_up(window.settled(), 0);
    });
}

#[test]
fn loom_budget_what_has_left_the_window_pays_for_nothing() {
    explore(2, || {
        let ring = ring(0);
        ring.deposit(0, UNITS);
        let takers = [SPAN, SPAN + 1].map(|now| {
            let ring = ring.clone();
            thread::spawn(move || ring.withdraw(now).is_some())
        });
        // By somebody who read the clock a UNITS window ago.
        ring.deposit(0, UNITS);
        for taker in takers {
            assert!(!taker.join().unwrap(), "paid for by calls of an earlier window");
        }
        assert_eq!(ring.balance(SPAN + 1), 0);
        adds_up(ring.settled(), 0);
    });
}

#[test]
fn loom_budget_a_withdrawal_expires_once() {
    explore(2, || {
        let ring = ring(1);
        ring.withdraw(0).unwrap();
        let late = SPAN + 1;
        let taker = {
            let ring = ring.clone();
            thread::spawn(move || usize::from(ring.withdraw(late).is_some()))
        };
        let payer = {
            let ring = ring.clone();
            // Into the slot that held the withdrawal.
            thread::spawn(move || ring.deposit(SLOTS + 1, UNITS))
        };
        let taken = usize::from(ring.withdraw(late).is_some()) + taker.join().unwrap();
        payer.join().unwrap();
        assert!(taken <= 2, "the floor and one deposit");
        let left = (0..3).filter(|_| ring.withdraw(late).is_some()).count();
        assert_eq!(taken + left, 2);
        adds_up(ring.settled(), 1);
    });
}

#[test]
fn loom_budget_three_who_expire_the_same_share_it() {
    explore(2, || {
        let ring = ring(1);
        ring.withdraw(0).unwrap();
        let late = SPAN + 1;
        let takers = [(); 2].map(|()| {
            let ring = ring.clone();
            thread::spawn(move || usize::from(ring.withdraw(late).is_some()))
        });
        let taken = usize::from(ring.withdraw(late).is_some());
        let taken: usize =
            takers.map(|taker| taker.join().unwrap()).into_iter().sum::<usize>() + taken;
        assert_eq!(taken, 1, "one floor");
        adds_up(ring.settled(), 1);
    });
}

#[test]
fn loom_budget_a_refund_and_the_expiry_give_back_once() {
    explore(2, || {
        let ring = ring(1);
        let booked = ring.withdraw(0).unwrap();
        let late = SPAN + 1;
        let refund = {
            let ring = ring.clone();
            thread::spawn(move || ring.refund(booked))
        };
        let taker = {
            let ring = ring.clone();
            thread::spawn(move || usize::from(ring.withdraw(late).is_some()))
        };
        let taken = usize::from(ring.withdraw(late).is_some());
        refund.join().unwrap();
        let taken = taken + taker.join().unwrap();
        assert!(taken <= 1, "one floor");
        let left = (0..2).filter(|_| ring.withdraw(late).is_some()).count();
        assert_eq!(taken + left, 1);
        adds_up(ring.settled(), 1);
    });
}

/// Two clocks read more than a whole window apart: the slot of the first is the second's by then.
#[test]
fn loom_budget_a_slow_withdrawal_is_booked_where_it_lasts() {
    explore(2, || {
        let ring = ring(2);
        let takers = [0, SLOTS].map(|now| {
            let ring = ring.clone();
            thread::spawn(move || ring.withdraw(now).unwrap())
        });
        let [slow, fast] = takers.map(|taker| taker.join().unwrap());
        assert!([1, SLOTS + 1].contains(&slow) && fast == SLOTS + 1);
        adds_up(ring.settled(), 2);
        ring.refund(slow);
        adds_up(ring.settled(), 2);
        assert_eq!(ring.balance(SLOTS), UNITS, "the other one is still out");
        assert_eq!(ring.balance(SLOTS + SPAN + 1), 2 * UNITS);
        assert_eq!(ring.settled(), (2 * UNITS, 0));
    });
}

#[test]
fn loom_budget_calls_one_after_the_other_are_never_two() {
    explore(2, || {
        let counts = Arc::new(InFlight::new(ONE.into(), 0));
        let caller = {
            let counts = counts.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    counts.enter();
                    counts.leave();
                }
            })
        };
        let takers = [(); 2].map(|()| {
            let counts = counts.clone();
            thread::spawn(move || {
                assert!(counts.balance() <= ONE.into());
                counts.withdraw()
            })
        });
        let taken = takers.map(|taker| taker.join().unwrap());
        caller.join().unwrap();
        assert_ne!(taken, [true, true], "one call in flight pays for one attempt");
        for _ in taken.into_iter().filter(|taken| *taken) {
            counts.end();
        }
        assert_eq!(counts.balance(), 0);
    });
}

#[test]
fn loom_budget_tokens_lose_no_change() {
    explore(2, || {
        let settings = Settings { max: 4 * UNITS, ratio: UNITS, transient: UNITS, overload: UNITS };
        let tokens = Arc::new(Tokens::new(settings));
        tokens.judged(Class::Transient);
        let failures = [(); 2].map(|()| {
            let tokens = tokens.clone();
            thread::spawn(move || tokens.judged(Class::Transient))
        });
        let success = {
            let tokens = tokens.clone();
            thread::spawn(move || tokens.judged(Class::Success))
        };
        for failure in failures {
            failure.join().unwrap();
        }
        success.join().unwrap();
        // 3 - 1 - 1 + 1, in whatever order.
        assert!(!tokens.allows());
        tokens.judged(Class::Success);
        assert_eq!(tokens.balance(), UNITS);
    });
}

/// More parties than loom gets through, on both sides of a window's end and of the ring's.
#[cfg(buttress_shuttle)]
#[test]
fn shuttle_budget_adds_up_whatever_the_clocks_of_those_at_it_say() {
    explore(0, || {
        let ring = ring(1);
        let parties = [0, 1, SPAN + 1, SLOTS, SLOTS + 1].map(|now| {
            let ring = ring.clone();
            thread::spawn(move || {
                ring.deposit(now, UNITS);
                let booked = ring.withdraw(now);
                let again = ring.withdraw(now);
                if let (Some(booked), true) = (booked, now % 2 == 0) {
                    ring.refund(booked);
                }
                usize::from(booked.is_some()) + usize::from(again.is_some())
            })
        });
        let taken: usize = parties.map(|party| party.join().unwrap()).into_iter().sum();
        assert!(taken >= 1, "the floor is there for somebody");
        adds_up(ring.settled(), 1);
        assert_eq!(ring.balance(3 * SLOTS), UNITS, "all of it has left the window");
        assert_eq!(ring.settled(), (UNITS, 0));
    });
}
