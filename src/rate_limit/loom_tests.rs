//! The interleavings of calls that charge one bucket and of who gives a turn back: every one by
//! loom, many by shuttle.

use std::sync::Arc;
use std::time::Duration;

use crate::rate_limit::bucket::{Bucket, Charged};
use crate::rate_limit::state::{Meter, Short};
use crate::sync::schedules::{explore, thread};

const INTERVAL: u64 = 10;

fn one_at_a_time() -> Meter {
    Meter::new(Duration::from_nanos(INTERVAL), 1)
}

/// A turn, as soon as there is one.
fn ahead(bucket: &Bucket) -> Charged {
    let meter = one_at_a_time();
    let charge = |debt| meter.charge_ahead(debt, 1, 10 * INTERVAL).map(|(owes, _)| owes);
    bucket.charge(0, charge).expect("there is time")
}

#[test]
fn loom_rate_limit_of_a_burst_of_one_exactly_one_call_passes() {
    explore(3, || {
        let bucket = Arc::new(Bucket::default());
        let take = |bucket: &Bucket| bucket.charge(0, |debt| one_at_a_time().charge(debt, 1));
        let other = {
            let bucket = bucket.clone();
            thread::spawn(move || take(&bucket))
        };
        let results = [take(&bucket), other.join().unwrap()];
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert!(results.contains(&Err(Short { wait: Some(INTERVAL) })));
        assert_eq!(bucket.debt(0), INTERVAL);
    });
}

#[test]
fn loom_rate_limit_a_turn_is_given_back_only_while_nobody_stands_behind_it() {
    explore(3, || {
        let bucket = Arc::new(Bucket::default());
        ahead(&bucket);
        let second = ahead(&bucket);
        let next = {
            let bucket = bucket.clone();
            thread::spawn(move || ahead(&bucket))
        };
        let given_back = bucket.undo(second);
        let next = next.join().unwrap();
        let turns = if given_back { 2 } else { 3 };
        assert_eq!((next.after, bucket.debt(0)), (turns * INTERVAL, turns * INTERVAL));
    });
}
