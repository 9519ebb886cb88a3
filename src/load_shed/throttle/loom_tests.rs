//! The interleavings of requests and of what lowers their accepts: every one by loom, many by
//! shuttle. Windows of two slices.

use std::sync::Arc;
use std::time::Duration;

use crate::load_shed::throttle::state::{Arrival, Counts, Machine};
use crate::rng::Rng;
use crate::sync::schedules::{explore, thread};
use crate::time::{self, Instant};

const SECOND: Duration = Duration::from_secs(1);

fn machine(multiplier: f64, start: Instant) -> Arc<Machine> {
    Arc::new(Machine::new(multiplier, 2 * SECOND, 0.0, Rng::new(Some(0)), start))
}

fn arrive(machine: &Machine, now: Instant, draw: f64) -> Arrival {
    machine.arrive(&mut machine.first(), now, |_| draw)
}

#[test]
fn loom_throttle_whoever_comes_after_the_last_lowering_knows_of_it() {
    explore(2, || {
        let start = time::now();
        let machine = machine(1.0, start);
        let first = arrive(&machine, start, 1.0);
        let lowering = {
            let machine = machine.clone();
            thread::spawn(move || machine.lower(first.slice))
        };
        // Finds it calm or not, and says so.
        arrive(&machine, start, 1.0);
        lowering.join().unwrap();
        assert!(arrive(&machine, start, 0.0).refused);
    });
}

#[test]
fn loom_throttle_counts_add_up_while_a_slice_ends() {
    explore(2, || {
        let start = time::now();
        let machine = machine(2.0, start);
        arrive(&machine, start, 1.0);
        let others = [start + SECOND, start + 2 * SECOND].map(|now| {
            let machine = machine.clone();
            thread::spawn(move || arrive(&machine, now, 1.0))
        });
        for other in others {
            other.join().unwrap();
        }
        let counts = |seconds| machine.counts(start + seconds * SECOND);
        assert_eq!(counts(2), Counts { requests: 2, accepts: 2 });
        assert_eq!(counts(3), Counts { requests: 1, accepts: 1 });
        assert_eq!(counts(4), Counts { requests: 0, accepts: 0 });
    });
}
