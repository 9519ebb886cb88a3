//! The interleavings of the circuit's word, lock and generations: every one by loom, many by
//! shuttle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::admission::Permit;
use crate::circuit_breaker::circuit::{Circuit, Options};
use crate::circuit_breaker::shared::Shared;
use crate::circuit_breaker::state::Machine;
use crate::circuit_breaker::{Config, Phase};
use crate::classify::Class;
use crate::observe::{Event, EventKind, Identity};
use crate::rng::Rng;
use crate::sync::anchors::{Anchor, Anchors};
use crate::sync::schedules::{explore, thread};
use crate::time;
use crate::window::Window;

/// Open times of a nanosecond are over at the next look: loom has no clock to advance.
const AT_ONCE: Duration = Duration::from_nanos(1);

#[derive(Default)]
struct Seen {
    late: AtomicUsize,
    opened: AtomicUsize,
}

fn shared(config: &Config, seen: &Arc<Seen>) -> Arc<Anchors<Shared<()>>> {
    let seen = seen.clone();
    let mut identity = Identity::default();
    identity.observe(move |event: &Event<'_>| {
        let counter = match event.kind {
            EventKind::LateResult => &seen.late,
            EventKind::Transitioned { to: Phase::Open, .. } => &seen.opened,
            _ => return,
        };
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let settings = config.resolve().unwrap();
    let options = Options {
        shadow: false,
        gate: false,
        timed: false,
        slow: None,
        counts: settings.keeps_window(),
    };
    let machine = Machine::new(settings, time::now());
    let emitter = identity.emitter("circuit_breaker", None);
    let circuit = Arc::new(Circuit::new(machine, Rng::new(Some(1)), emitter, options));
    Arc::new(Anchors::new(Shared { circuit, classifier: () }))
}

fn admit(shared: &Arc<Anchors<Shared<()>>>) -> Option<Permit<Anchor<Shared<()>>>> {
    let ticket = shared.circuit.admit().ok()?;
    Some(Permit::new(shared.mine().clone(), ticket))
}

fn trips_at(failures: u32) -> Config {
    Config {
        consecutive_failures: Some(failures),
        open_for: AT_ONCE,
        open_for_at_most: Some(AT_ONCE),
        half_open_for: Some(Duration::from_secs(3600)),
        probes: 1,
        close_after: 1,
        ..Config::default()
    }
}

#[test]
fn loom_of_two_results_that_could_trip_one_trips_and_one_is_late() {
    explore(3, || {
        let seen = Arc::<Seen>::default();
        let shared = shared(&trips_at(1), &seen);
        let permits = [admit(&shared).unwrap(), admit(&shared).unwrap()];
        let callers =
            permits.map(|mut permit| thread::spawn(move || permit.settle(Class::Transient)));
        let bystander = {
            let shared = shared.clone();
            // Refused, a call like the others, or the first probe: its end must not add a trip.
            thread::spawn(move || admit(&shared).map(|mut permit| permit.settle(Class::Ignore)))
        };
        for caller in callers {
            caller.join().unwrap();
        }
        bystander.join().unwrap();
        assert_eq!(seen.opened.load(Ordering::SeqCst), 1);
        assert!(seen.late.load(Ordering::SeqCst) >= 1);
        assert_ne!(shared.circuit.phase(), Phase::Closed);
    });
}

#[test]
fn loom_never_more_probes_than_slots() {
    explore(3, || {
        let seen = Arc::<Seen>::default();
        let shared = shared(&trips_at(1), &seen);
        admit(&shared).unwrap().settle(Class::Transient);
        let out = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let (shared, out) = (shared.clone(), out.clone());
                thread::spawn(move || {
                    let Some(permit) = admit(&shared) else { return };
                    assert_eq!(out.fetch_add(1, Ordering::SeqCst), 0, "a second probe is out");
                    out.fetch_sub(1, Ordering::SeqCst);
                    // Cancelled: the slot must come back, and nothing be decided.
                    drop(permit);
                })
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!(shared.circuit.phase(), Phase::HalfOpen);
        assert!(admit(&shared).is_some(), "a slot was lost");
    });
}

#[test]
fn loom_a_success_that_writes_nothing_loses_no_failure() {
    explore(3, || {
        let seen = Arc::<Seen>::default();
        let shared = shared(&trips_at(3), &seen);
        let permits = [admit(&shared).unwrap(), admit(&shared).unwrap()];
        let mut success = admit(&shared).unwrap();
        let callers =
            permits.map(|mut permit| thread::spawn(move || permit.settle(Class::Transient)));
        let healthy = thread::spawn(move || success.settle(Class::Success));
        for caller in callers {
            caller.join().unwrap();
        }
        healthy.join().unwrap();
        let streak = shared.circuit.snapshot().consecutive_failures;
        assert!(streak <= 2);
        // Whatever the order was, the mirror that successes look at agrees with the machine: the
        // next success clears the streak if there is one.
        admit(&shared).unwrap().settle(Class::Success);
        assert_eq!(shared.circuit.snapshot().consecutive_failures, 0);
    });
}

/// One of the two can trip, whichever comes second: the failure, or the success that makes enough
/// calls of it.
#[test]
fn loom_a_success_that_takes_no_lock_is_not_counted_behind_a_failure() {
    explore(3, || {
        let seen = Arc::<Seen>::default();
        let config = Config {
            failure_rate: Some(0.3),
            minimum_calls: 3,
            window: Window::time(Duration::from_secs(3600)),
            ..trips_at(100)
        };
        let shared = shared(&config, &seen);
        // From here on successes are counted apart.
        admit(&shared).unwrap().settle(Class::Success);
        let callers = [Class::Success, Class::Transient].map(|class| {
            let mut permit = admit(&shared).unwrap();
            thread::spawn(move || permit.settle(class))
        });
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!(seen.opened.load(Ordering::SeqCst), 1, "one of three calls failed");
    });
}

#[test]
fn loom_successes_that_take_no_lock_are_counted_once_each() {
    explore(3, || {
        let seen = Arc::<Seen>::default();
        let config = Config {
            failure_rate: Some(1.0),
            window: Window::time(Duration::from_secs(3600)),
            ..trips_at(100)
        };
        let shared = shared(&config, &seen);
        admit(&shared).unwrap().settle(Class::Success);
        let callers = [(), ()].map(|()| {
            let mut permit = admit(&shared).unwrap();
            thread::spawn(move || permit.settle(Class::Success))
        });
        let calls = shared.circuit.snapshot().calls;
        assert!((1..=3).contains(&calls), "{calls}");
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!(shared.circuit.snapshot().calls, 3);
    });
}

#[test]
fn loom_an_operator_and_a_trip_agree_on_the_end() {
    explore(3, || {
        let seen = Arc::<Seen>::default();
        let shared = shared(&trips_at(1), &seen);
        let mut permit = admit(&shared).unwrap();
        let caller = thread::spawn(move || permit.settle(Class::Transient));
        shared.circuit.force_open("maintenance".into());
        caller.join().unwrap();
        assert_eq!(shared.circuit.phase(), Phase::ForcedOpen, "operator states are sticky");
        let ticket = shared.circuit.admit();
        assert!(ticket.is_err());
        assert_eq!(shared.circuit.snapshot().phase, Phase::ForcedOpen);
    });
}

/// More parties than loom gets through: each kind of outcome, and an operator.
#[cfg(buttress_shuttle)]
#[test]
fn shuttle_whatever_outcomes_meet_the_circuit_can_close_again() {
    explore(0, || {
        let seen = Arc::<Seen>::default();
        let shared = shared(&trips_at(2), &seen);
        let classes = [Some(Class::Transient), Some(Class::Success), Some(Class::Ignore), None];
        let callers = [0, 1, 2, 3].map(|number| {
            let shared = shared.clone();
            thread::spawn(move || {
                for round in 0..2 {
                    let Some(mut permit) = admit(&shared) else { continue };
                    // Without a class: cancelled.
                    if let Some(class) = classes[(number * (round + 1)) % 4] {
                        permit.settle(class);
                    }
                }
            })
        });
        shared.circuit.force_open("maintenance".into());
        assert!(admit(&shared).is_none(), "an operator's state is sticky");
        shared.circuit.auto();
        for caller in callers {
            caller.join().unwrap();
        }
        for _ in 0..3 {
            if let Some(mut permit) = admit(&shared) {
                permit.settle(Class::Success);
            }
        }
        assert_eq!(shared.circuit.phase(), Phase::Closed, "a probe's slot was lost");
    });
}
