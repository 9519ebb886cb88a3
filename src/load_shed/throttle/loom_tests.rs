//! The interleavings of requests and of what lowers their accepts: every one by loom, many by
//! shuttle. Windows of two slices.

use std::sync::Arc;
use std::time::Duration;

use crate::load_shed::throttle::state::{Counts, Machine};
use crate::sync::schedules::{explore, thread};
use crate::time;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn loom_throttle_whoever_comes_after_the_last_lowering_knows_of_it() {
    explore(2, || {
        let start = time::now();
        let machine = Arc::new(Machine::new(1.0, 2 * SECOND, 0.0, start));
        let first = machine.arrive(start, || unreachable!("nothing has been lowered"));
        let lowering = {
            let machine = machine.clone();
            thread::spawn(move || machine.lower(first.slice))
        };
        // Finds it calm or not, and says so.
        machine.arrive(start, || 1.0);
        lowering.join().unwrap();
        assert!(machine.arrive(start, || 0.0).refused);
    });
}

#[test]
fn loom_throttle_counts_add_up_while_a_slice_ends() {
    explore(2, || {
        let start = time::now();
        let machine = Arc::new(Machine::new(2.0, 2 * SECOND, 0.0, start));
        machine.arrive(start, || 1.0);
        let others = [start + SECOND, start + 2 * SECOND].map(|now| {
            let machine = machine.clone();
            thread::spawn(move || machine.arrive(now, || 1.0))
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
