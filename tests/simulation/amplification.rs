//! Scenarios 9, 10, 11: what a retry budget bounds.

use std::time::Duration;

use buttress::retry::{Backoff, Budget, RetryLayer};
use buttress::sim::{
    Check, Clients, Faults, Latency, Plan, Report, Request, Response, RetryPolicy, Server, World,
    ensure,
};
use buttress::timeout::TimeoutLayer;
use buttress::{BoxError, LiftLayer};
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

use crate::figures::Spread;
use crate::stacks::{CAPACITY, SERVICE_TIME, WORKERS, check, check_of, ms, seconds};

/// Nothing is ever withheld by it.
fn no_budget() -> Budget {
    Budget::ratio(100.0)
}

fn one_of<T: Copy>(all: &[T], seed: u64) -> T {
    all[usize::try_from(seed).expect("64 bits") % all.len()]
}

/// A time of little capacity, and load whose retries a budget bounds.
#[derive(Clone, Copy, Debug)]
struct Overload {
    /// Load, of capacity.
    rho: f64,
    /// Of the budget.
    ratio: f64,
    lasting: Duration,
    /// What is left of capacity meanwhile.
    mu_low: f64,
}

const BEGIN: Duration = seconds(3);

impl Overload {
    const fn new(rho: f64, ratio: f64, lasting: Duration, mu_low: f64) -> Self {
        Self { rho, ratio, lasting, mu_low }
    }

    fn of(seed: u64) -> Self {
        one_of(&OVERLOADS, seed)
    }

    fn load(&self) -> f64 {
        self.rho * (1.0 + self.ratio)
    }

    /// In seconds: what came in beyond what was done, over what is done beyond what comes in.
    fn drain_time(&self) -> f64 {
        self.lasting.as_secs_f64() * (self.load() - self.mu_low) / (1.0 - self.load())
    }

    /// Service times are fixed: the formula is about means.
    fn plan(&self) -> Plan {
        let end = BEGIN + self.lasting;
        Plan::new(end + Duration::from_secs_f64(1.4 * self.drain_time()))
            .server("db", Server::workers(WORKERS, Latency::fixed(SERVICE_TIME)))
            .clients("shop", Clients::open(CAPACITY * self.rho).deadline(seconds(300)))
            .faults(Faults::new().slow("db", 1.0 / self.mu_low, BEGIN, self.lasting))
            .drain(seconds(1))
    }
}

const OVERLOADS: [Overload; 4] = [
    Overload::new(0.6, 0.2, seconds(10), 0.1),
    Overload::new(0.7, 0.1, seconds(10), 0.1),
    Overload::new(0.5, 0.4, seconds(12), 0.1),
    Overload::new(0.6, 0.1, seconds(14), 0.25),
];

fn overloads() -> Check {
    check_of(|seed| Overload::of(seed).plan())
}

/// Retries and timeouts, and nothing else that protects.
fn retries_alone(world: &mut World<'_>, budget: Budget) {
    let retry = RetryLayer::builder(RetryPolicy)
        .max_attempts(4)
        .backoff(Backoff::exponential(ms(10), ms(100)))
        .budget(budget)
        .seed(world.seed("retry"))
        .build();
    let stack = ServiceBuilder::new()
        .layer(retry)
        .layer(TimeoutLayer::new(ms(250)))
        .layer(LiftLayer)
        .service(world.server("db"));
    world.clients("shop", stack);
}

/// How long after the trigger nobody stands in line any more, in seconds.
fn drained_after(report: &Report) -> Option<f64> {
    let end = report.trigger?.until;
    let moments = report.servers["db"].moments.iter().zip(0_u32..);
    let mut after = moments.map(|(moment, at)| (moment, ms(100) * at)).filter(|(_, at)| *at >= end);
    after
        .find(|(moment, _)| moment.waiting == 0)
        .map(|(_, at)| at.saturating_sub(end).as_secs_f64())
}

#[test]
fn s09_a_budget_alone_drains_the_backlog_in_the_time_of_the_formula() {
    let ratio = Spread::of("drain time, of the formula's");
    overloads().holds(
        |world| {
            let ratio = Overload::of(world.seed_of_run()).ratio;
            retries_alone(world, Budget::ratio(ratio).per(seconds(1)).at_least(0));
        },
        |report| {
            let expected = Overload::of(report.seed).drain_time();
            let drained = drained_after(report).unwrap_or(f64::INFINITY);
            let off = ratio.note(drained / expected);
            ensure((0.7..=1.3).contains(&off), || {
                format!("empty after {drained} s, {expected} s by the formula")
            })
        },
    );
}

#[test]
fn s09_without_a_budget_the_backlog_never_drains() {
    overloads().at_most(64).holds(
        |world| retries_alone(world, no_budget()),
        |report| {
            let drained = drained_after(report);
            ensure(drained.is_none(), || format!("empty after {drained:?}"))
        },
    );
}

/// A budget of a second, by its ratio and its floor for each second.
const BUDGETS: [(f64, u32); 8] =
    [(0.1, 0), (0.2, 0), (0.5, 0), (1.0, 0), (0.05, 1), (0.1, 5), (0.2, 10), (2.0, 3)];

/// Ten windows of healthy traffic and more, and then errors alone.
const WARM: Duration = seconds(11);
const OUTAGE: Duration = seconds(8);

fn outage() -> Plan {
    Plan::new(WARM + OUTAGE)
        .server("db", Server::workers(1000, Latency::fixed(ms(5))))
        .clients("shop", Clients::open(60.0))
        .faults(Faults::new().errors("db", 1.0, WARM, OUTAGE))
}

/// Retries without a wait: they are sent when they are paid for.
fn impatient(world: &mut World<'_>, budget: Budget) {
    let retry = RetryLayer::builder(RetryPolicy)
        .max_attempts(4)
        .delays(|| [Duration::ZERO; 3])
        .budget(budget)
        .build();
    let stack = ServiceBuilder::new().layer(retry).layer(LiftLayer).service(world.server("db"));
    world.clients("shop", stack);
}

/// Requests and retries of each tenth of a second.
fn retries(report: &Report) -> Vec<(f64, f64)> {
    let (clients, server) = (&report.clients["shop"].moments, &report.servers["db"].moments);
    let moments = clients.iter().zip(server);
    moments.map(|(c, s)| (c.offered as f64, s.sent as f64 - c.offered as f64)).collect()
}

fn sum(moments: &[(f64, f64)]) -> (f64, f64) {
    moments.iter().fold((0.0, 0.0), |sum, moment| (sum.0 + moment.0, sum.1 + moment.1))
}

#[test]
fn s10_a_budget_bounds_the_amplification_of_every_window() {
    let (spent, amplified) = (Spread::of("spent, of the budget"), Spread::of("amplification"));
    let check = check(outage());
    check.holds(
        |world| {
            let (ratio, floor) = one_of(&BUDGETS, world.seed_of_run());
            impatient(world, Budget::ratio(ratio).per(seconds(1)).at_least(floor));
        },
        |report| {
            let (ratio, floor) = one_of(&BUDGETS, report.seed);
            let floor = f64::from(floor);
            let of_run = floor * (WARM + OUTAGE).as_secs_f64() / report.offered() as f64;
            let all = report.amplification("db");
            ensure(all <= 1.0 + ratio + of_run, || format!("an amplification of {all}"))?;
            let moments = retries(report);
            for (window, at) in moments.windows(11).zip(0_u32..) {
                // A second that ends with a retry somewhere in the last tenth of it.
                let ((requests, _), (_, retries)) = (sum(window), sum(&window[1..]));
                let most = ratio * requests + floor;
                ensure(window[10].1 == 0.0 || retries <= most, || {
                    format!("{retries} retries in the second to {:?}, not {most}", ms(100) * at)
                })?;
            }
            let (requests, retries) = sum(&moments[120..180]);
            let share = spent.note(retries / (ratio * requests + 6.0 * floor));
            amplified.note(1.0 + retries / requests);
            ensure((0.75..=1.25).contains(&share), || format!("{share} of the budget was spent"))
        },
    );
}

#[test]
fn s10_without_a_budget_every_attempt_is_made() {
    check(outage()).at_most(64).holds(
        |world| impatient(world, no_budget()),
        |report| {
            let (requests, retries) = sum(&retries(report)[120..180]);
            let amplification = 1.0 + retries / requests;
            ensure((3.9..=4.1).contains(&amplification), || format!("{amplification}"))
        },
    );
}

/// A chain of so many servers, of which the last always fails.
fn chain(depth: u32, per_second: f64, run_for: Duration) -> Plan {
    let server = || Server::workers(10_000, Latency::fixed(ms(5)));
    let plan = (1..=depth).fold(Plan::new(run_for), |plan, hop| plan.server(&name(hop), server()));
    plan.clients("shop", Clients::open(per_second).deadline(seconds(20)))
        .faults(Faults::new().errors(&name(depth), 1.0, Duration::ZERO, seconds(60)))
}

fn name(hop: u32) -> String {
    format!("s{hop}")
}

fn depth(seed: u64) -> u32 {
    one_of(&[1, 2, 3, 4], seed)
}

/// Whoever calls a server of the chain retries, up to three times: clients, and the server before.
fn wire_chain(world: &mut World<'_>, budget: impl Fn() -> Budget) {
    let mut next: Option<BoxCloneSyncService<Request, Response, BoxError>> = None;
    for hop in (1..=depth(world.seed_of_run())).rev() {
        let retry = RetryLayer::builder(RetryPolicy)
            .max_attempts(4)
            .backoff(Backoff::exponential(ms(5), ms(20)))
            .budget(budget())
            .seed(world.seed(&name(hop)))
            .build();
        let server = match next.take() {
            None => world.server(&name(hop)),
            Some(downstream) => world.server_behind(&name(hop), |workers| workers.then(downstream)),
        };
        let calls = ServiceBuilder::new().layer(retry).map_err(BoxError::from).service(server);
        next = Some(BoxCloneSyncService::new(calls));
    }
    world.clients("shop", next.expect("there is a server"));
}

#[test]
fn s11_budgets_bound_the_amplification_of_a_chain_to_their_product() {
    const BUDGETS: [(f64, u32); 3] = [(0.2, 0), (0.5, 0), (0.1, 1)];
    let of_seed = |seed| one_of(&BUDGETS, seed / 4);
    let share = Spread::of("amplification, of its bound");
    let (run_for, plan) = (10_u32, |seed| chain(depth(seed), 60.0, seconds(10)));
    check_of(plan).holds(
        |world| {
            let (ratio, floor) = of_seed(world.seed_of_run());
            wire_chain(world, || Budget::ratio(ratio).per(seconds(1)).at_least(floor));
        },
        |report| {
            let (ratio, floor) = of_seed(report.seed);
            // The last answers come a little later, and the floor is there from the beginning.
            let floor = f64::from(floor * (run_for + 2));
            let hops = depth(report.seed);
            let bound = (0..hops).fold(report.offered() as f64, |n, _| n * (1.0 + ratio) + floor);
            let sent = report.servers[&name(hops)].sent as f64;
            let used = share.note(sent / bound);
            ensure((0.8..=1.0).contains(&used), || {
                format!("{sent} attempts at server {hops}, the bound is {bound}")
            })
        },
    );
}

#[test]
fn s11_naive_retries_multiply_along_a_chain() {
    let share = Spread::of("amplification, of 4^d");
    check_of(|seed| chain(depth(seed), 10.0, seconds(3))).at_most(64).holds(
        |world| wire_chain(world, no_budget),
        |report| {
            let hops = depth(report.seed);
            let product = 4_f64.powi(i32::try_from(hops).expect("few"));
            let reached = share.note(report.amplification(&name(hops)) / product);
            ensure((0.9..=1.1).contains(&reached), || format!("{reached} of {product}"))
        },
    );
}
