//! Scenarios 1, 4, 7, 8: load, with a server that stands still at most.

use buttress::circuit_breaker::Phase;
use buttress::observe::EventKind;
use buttress::sim::{Check, Clients, Faults, Latency, Plan, Report, Server, World, ensure};

use crate::figures::Spread;
use crate::stacks::{
    TRIGGER, WORKERS, bare, check, check_of, client_side_of, clients, full, is_well_again, ms,
    naive, seconds, server_side, world,
};

const LOAD: f64 = 0.75;

#[test]
fn s01_without_a_fault_all_is_well() {
    let (goodput, sheds) = (Spread::of("goodput"), Spread::of("sheds"));
    let plan = world(seconds(30), clients(LOAD), Faults::new());
    check(plan).holds(full, |report| {
        let good = goodput.note(report.goodput());
        let of = |layer: &str| report.events_of(layer, |k| matches!(k, EventKind::Rejected(_)));
        let refused = of("db server") + of("db client") + of("db breaker");
        let shed = sheds.note(refused as f64 / report.offered() as f64);
        let opened = report.events_of("db breaker", opens);
        ensure(good >= 0.999 && shed <= 0.005 && opened == 0, || {
            format!("goodput {good}, sheds {shed}, {opened} openings")
        })
    });
}

fn opens(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Transitioned { to: Phase::Open, .. })
}

fn is_back_soon(faults: Faults) {
    let recovery = Spread::of("recovered after, in seconds");
    let plan = world(seconds(30), clients(LOAD), faults);
    check(plan).holds(full, |report| {
        let during = report.goodput_between(TRIGGER.0 + seconds(2), TRIGGER.0 + seconds(8));
        ensure(during == 0.0, || format!("the server was not down: goodput {during}"))?;
        is_well_again(report).map(|after| {
            recovery.note(after.as_secs_f64());
        })
    });
}

#[test]
fn s04_full_stack_recovers_from_a_crash_that_refuses() {
    is_back_soon(Faults::new().crash("db", TRIGGER.0, TRIGGER.1));
}

#[test]
fn s04_full_stack_recovers_from_a_crash_in_silence() {
    is_back_soon(Faults::new().silence("db", TRIGGER.0, TRIGGER.1));
}

#[test]
fn s04_full_stack_recovers_from_a_pause() {
    is_back_soon(Faults::new().pause("db", TRIGGER.0, TRIGGER.1));
}

/// A server whose service times vary little: 200 requests are what it can do in any one second,
/// give or take a few.
fn steady(clients: Clients) -> Plan {
    world(seconds(20), clients.spike(4.0, TRIGGER.0, TRIGGER.1), Faults::new())
        .server("db", Server::workers(WORKERS, Latency::uniform(ms(25), ms(75))))
}

/// Of what the server could do in a second, the least that was good in a second of the spike.
fn worst_second_of_the_spike(report: &Report) -> f64 {
    let (clients, server) = (&report.clients["shop"].moments, &report.servers["db"].moments);
    let share = |second: usize| {
        let good: u64 = clients[second..second + 10].iter().map(|moment| moment.good).sum();
        let capacity: f64 = server[second..second + 10].iter().map(|moment| moment.capacity).sum();
        good as f64 / capacity
    };
    (100..200).step_by(10).map(share).fold(f64::INFINITY, f64::min)
}

#[test]
fn s07_full_stack_serves_at_capacity_through_a_spike() {
    let worst = Spread::of("worst second, of capacity");
    check(steady(clients(LOAD))).holds(full, |report| {
        let least = worst.note(worst_second_of_the_spike(report));
        ensure(least >= 0.8, || format!("{least} of capacity in a second of the spike"))
    });
}

#[test]
fn s07_naive_collapses_in_a_spike() {
    check(steady(naive(LOAD))).at_most(64).holds(bare, |report| {
        let spike = report.goodput_between(TRIGGER.0, TRIGGER.0 + TRIGGER.1);
        let least = worst_second_of_the_spike(report);
        ensure(least < 0.1 && spike < 0.1, || format!("naive served {spike}, at worst {least}"))
    });
}

/// A cell of the map: utilisation, attempts.
type Cell = (f64, u32);

/// A jolt of four seconds in a world of that cell, with a long look at what follows.
fn jolt(clients: Clients) -> Plan {
    world(seconds(36), clients, Faults::new().slow("db", 10.0, seconds(2), seconds(4)))
        .drain(seconds(2))
}

fn in_the_end(report: &Report) -> f64 {
    report.goodput_between(seconds(28), seconds(36))
}

/// One cell for each seed, in turn.
fn map(cells: &'static [Cell], plan: impl Fn(Cell) -> Plan + 'static) -> Check {
    check_of(move |seed| plan(cell(cells, seed)))
}

fn cell(cells: &[Cell], seed: u64) -> Cell {
    cells[usize::try_from(seed).expect("64 bits") % cells.len()]
}

const BELOW_ONE: &[Cell] =
    &[(0.75, 1), (0.37, 2), (0.25, 3), (0.18, 4), (0.5, 1), (0.25, 2), (0.12, 6)];
const ABOVE_ONE: &[Cell] =
    &[(0.65, 2), (0.44, 3), (0.33, 4), (0.22, 6), (0.75, 2), (0.75, 4), (0.9, 3)];

#[test]
fn s08_naive_stands_while_utilisation_times_attempts_is_below_one() {
    let goodput = Spread::of("goodput in the end");
    map(BELOW_ONE, |(load, attempts)| jolt(naive(load).attempts(attempts))).at_most(64).holds(
        bare,
        |report| {
            let good = goodput.note(in_the_end(report));
            ensure(good >= 0.95, || format!("{:?} tipped: {good}", cell(BELOW_ONE, report.seed)))
        },
    );
}

#[test]
fn s08_naive_tips_once_utilisation_times_attempts_is_above_one() {
    let goodput = Spread::of("goodput in the end");
    map(ABOVE_ONE, |(load, attempts)| jolt(naive(load).attempts(attempts))).at_most(64).holds(
        bare,
        |report| {
            let good = goodput.note(in_the_end(report));
            ensure(good <= 0.2, || format!("{:?} stood: {good}", cell(ABOVE_ONE, report.seed)))
        },
    );
}

const MAP: &[Cell] = &[
    (0.3, 1),
    (0.3, 2),
    (0.3, 3),
    (0.3, 4),
    (0.3, 8),
    (0.6, 1),
    (0.6, 2),
    (0.6, 3),
    (0.6, 4),
    (0.6, 8),
    (0.75, 1),
    (0.75, 2),
    (0.75, 3),
    (0.75, 4),
    (0.75, 8),
    (0.9, 1),
    (0.9, 2),
    (0.9, 3),
    (0.9, 4),
    (0.9, 8),
];

#[test]
fn s08_full_stack_is_stable_whatever_the_attempts() {
    let goodput = Spread::of("goodput in the end");
    map(MAP, |(load, _)| jolt(clients(load))).holds(of_cell, |report| {
        let good = goodput.note(in_the_end(report));
        ensure(good >= 0.95, || format!("{:?} tipped: {good}", cell(MAP, report.seed)))
    });
}

fn of_cell(world: &mut World<'_>) {
    let (_, attempts) = cell(MAP, world.seed_of_run());
    let db = server_side(world, "db");
    let stack = client_side_of(world, "db", db, attempts);
    world.clients("shop", stack);
}
