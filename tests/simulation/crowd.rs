//! Scenario 29: several adaptive limits on one server; and whether the layer does in the simulator
//! what its algorithm does where limits are tried.

use std::cell::RefCell;
use std::time::Duration;

use buttress::adaptive_limit::Cohort;
use buttress::sim::limits::Workload;
use buttress::sim::{Faults, Plan, Report, World, ensure};

use crate::figures::Spread;
use crate::limits::{Course, DEADLINE, at_the_client, offering, plan, server};
use crate::stacks::{check, seconds};

const END: Duration = seconds(30);

fn name(index: usize) -> String {
    format!("client {index:02}")
}

/// So many groups of clients that together offer twice what the server can do.
fn crowd(clients: usize) -> Plan {
    (0..clients).fold(Plan::new(END).server("db", server()), |plan, index| {
        plan.clients(&name(index), offering(2.0 / clients as f64))
    })
}

/// Each with a limit of its own, that knows nothing of the others.
fn each_with_a_limit(clients: usize) -> impl Fn(&mut World<'_>) {
    move |world| {
        let db = world.server("db");
        for index in 0..clients {
            let (stack, _) = at_the_client(world, &name(index), db.clone());
            world.clients(&name(index), stack);
        }
    }
}

/// How evenly the clients were served from the tenth second on: 1 if all were alike.
///
/// Source: R. Jain, D. Chiu, W. Hawe, *A Quantitative Measure of Fairness* (DEC-TR-301, 1984).
fn jain(report: &Report) -> f64 {
    let served = report.clients.values().map(|client| {
        let good: u64 = client.moments.iter().skip(100).map(|moment| moment.good).sum();
        good as f64
    });
    let (sum, squares) = served.fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    sum * sum / (report.clients.len() as f64 * squares)
}

fn s29_limits_share(clients: usize) {
    let (goodput, fairness) = (Spread::of("goodput of the oracle's"), Spread::of("Jain's index"));
    let p99 = Spread::of("p99 in no-load latencies");
    check(crowd(clients)).holds(each_with_a_limit(clients), |report| {
        let good = goodput.note(report.goodput_of_oracle());
        let fair = fairness.note(jain(report));
        p99.note(report.slowdown(0.99));
        ensure(good >= 0.95 && fair >= 0.7, || {
            format!("goodput {good} of the oracle's, Jain's index {fair}")
        })
    });
}

#[test]
fn s29_four_limits_share_a_server() {
    s29_limits_share(4);
}

#[test]
fn s29_sixteen_limits_share_a_server() {
    s29_limits_share(16);
}

/// The same server and load, once through the layer and once where algorithms are tried.
#[test]
fn the_layer_does_what_its_algorithm_does_where_limits_are_tried() {
    const FROM: Duration = seconds(5);
    let workload = Workload::new(server(), 2.0).deadline(DEADLINE).run_for(END);
    let tried: Vec<(f64, f64)> = (0..16)
        .map(|seed| {
            let trial = workload.run(seed, |_| Box::new(Cohort::new()));
            let limits: Vec<_> = trial.limits()[0].iter().skip(50).copied().collect();
            let mean = limits.iter().sum::<usize>() as f64 / limits.len() as f64;
            (trial.goodput_between(FROM, END), mean)
        })
        .collect();

    let (course, layered) = (Course::default(), RefCell::new(Vec::new()));
    let wire = |world: &mut World<'_>| {
        let db = world.server("db");
        let (stack, handle) = at_the_client(world, "limit", db);
        course.follow(world, handle);
        world.clients("shop", stack);
    };
    let summary =
        check(plan(END, offering(2.0), Faults::new())).seeds(16).at_most(16).run(wire, |report| {
            let good: u64 =
                report.clients["shop"].moments.iter().skip(50).map(|moment| moment.good).sum();
            let rate = good as f64 / END.saturating_sub(FROM).as_secs_f64();
            layered.borrow_mut().push((rate, course.mean(FROM, END)));
            Ok(())
        });
    summary.unwrap();

    let mean = |runs: &[(f64, f64)], which: fn(&(f64, f64)) -> f64| {
        runs.iter().map(which).sum::<f64>() / runs.len() as f64
    };
    let layered = layered.into_inner();
    let goodput = mean(&layered, |run| run.0) / mean(&tried, |run| run.0);
    let limit = mean(&layered, |run| run.1) / mean(&tried, |run| run.1);
    println!("layer by trial: goodput {goodput:.4}, mean limit {limit:.4}");
    assert!((goodput - 1.0).abs() <= 0.02, "goodput differs by {goodput}");
    assert!((limit - 1.0).abs() <= 0.12, "the mean limit differs by {limit}");
}
