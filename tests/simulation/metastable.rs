//! Scenarios 2, 3, 5, 6: a trigger of ten seconds. The naive stack stays down when it is gone; the
//! full one is well again within five seconds.

use buttress::sim::{Faults, ensure};

use crate::stacks::{TRIGGER, bare, check, clients, full, is_well_again, naive, seconds, world};

const LOAD: f64 = 0.75;

fn recovers(faults: Faults) {
    let plan = world(seconds(36), clients(LOAD), faults);
    check(plan).holds(full, |report| is_well_again(report).map(drop));
}

/// The negative control: without it the scenario would prove nothing.
fn naive_stays_down(faults: Faults) {
    let plan = world(seconds(110), naive(LOAD), faults).drain(seconds(10));
    check(plan).at_most(600).holds(bare, |report| {
        let recovered = report.recovered_after();
        ensure(recovered.is_none(), || format!("the naive stack was well after {recovered:?}"))?;
        let last = report.goodput_between(seconds(100), seconds(110));
        ensure(last < 0.5, || format!("goodput of the naive stack at the end: {last}"))
    });
}

fn slow() -> Faults {
    Faults::new().slow("db", 10.0, TRIGGER.0, TRIGGER.1)
}

fn lost_workers() -> Faults {
    Faults::new().lose_workers("db", 0.9, TRIGGER.0, TRIGGER.1)
}

fn errors() -> Faults {
    Faults::new().errors("db", 1.0, TRIGGER.0, TRIGGER.1)
}

fn partition() -> Faults {
    Faults::new().partition("db", TRIGGER.0, TRIGGER.1)
}

#[test]
fn s02_full_stack_recovers_from_a_tenfold_slowdown() {
    recovers(slow());
}

#[test]
fn s02_naive_stays_down_after_a_tenfold_slowdown() {
    naive_stays_down(slow());
}

#[test]
fn s03_full_stack_recovers_from_lost_workers() {
    recovers(lost_workers());
}

#[test]
fn s03_naive_stays_down_after_lost_workers() {
    naive_stays_down(lost_workers());
}

#[test]
fn s05_full_stack_recovers_from_an_error_burst() {
    recovers(errors());
}

#[test]
fn s05_naive_stays_down_after_an_error_burst() {
    naive_stays_down(errors());
}

#[test]
fn s06_full_stack_recovers_from_a_partition() {
    recovers(partition());
}

#[test]
fn s06_naive_stays_down_after_a_partition() {
    naive_stays_down(partition());
}
