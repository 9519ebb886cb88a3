//! Scenarios 19 and 21: what opens a circuit, and when that does harm.

use buttress::LiftLayer;
use buttress::circuit_breaker::{Builder, CircuitBreakerLayer, Window};
use buttress::sim::{
    Clients, Endpoint, Failures, Faults, Latency, Plan, Report, Server, World, ensure,
};
use tower::ServiceBuilder;

use crate::stacks::{check, ms, seconds, world};
use crate::tools::openings;

const HOSTS: u64 = 5;
const RATE: f64 = 25.0;

/// Five hosts, each called by clients of its own; so many of them fail from the third second on,
/// and never stop.
fn hosts(sick: u64) -> Plan {
    (0..HOSTS).fold(Plan::new(seconds(15)), |mut plan, index| {
        let name = host(index, sick);
        if index < sick {
            plan.faults = plan.faults.errors(&name, 1.0, seconds(3), seconds(60));
        }
        plan.server(&name, Server::workers(10, Latency::exponential(ms(20))))
            .clients(&name, Clients::open(RATE))
    })
}

fn host(index: u64, sick: u64) -> String {
    format!("{} {index}", if index < sick { "sick" } else { "healthy" })
}

fn breaker(world: &World<'_>, name: &str) -> Builder<Failures> {
    CircuitBreakerLayer::builder()
        .name(name)
        .classify(Failures)
        .window(Window::time(seconds(2)))
        .open_for(seconds(1))
        .open_for_at_most(seconds(4))
        .seed(world.seed(name))
        .observe(world.observer())
}

/// A breaker for each host.
fn keyed(sick: u64) -> impl Fn(&mut World<'_>) {
    move |world| {
        for name in (0..HOSTS).map(|index| host(index, sick)) {
            let breaker = breaker(world, &name).build();
            through(world, &breaker, &name);
        }
    }
}

/// One breaker for all of them.
fn shared(sick: u64) -> impl Fn(&mut World<'_>) {
    move |world| {
        let breaker = breaker(world, "shared").build();
        for name in (0..HOSTS).map(|index| host(index, sick)) {
            through(world, &breaker, &name);
        }
    }
}

fn through(world: &mut World<'_>, breaker: &CircuitBreakerLayer<Failures>, name: &str) {
    let server: Endpoint = world.server(name);
    let stack = ServiceBuilder::new().layer(breaker.clone()).layer(LiftLayer).service(server);
    world.clients(name, stack);
}

/// Of all hosts whose names begin so: good answers per request, and requests sent per request.
fn shares(report: &Report, hosts: &str) -> (f64, f64) {
    let (mut offered, mut good, mut sent) = (0, 0, 0);
    for (name, client) in report.clients.iter().filter(|(name, _)| name.starts_with(hosts)) {
        (offered, good) = (offered + client.offered, good + client.good);
        sent += report.servers[name].sent;
    }
    (good as f64 / offered as f64, sent as f64 / offered as f64)
}

fn keyed_breakers_keep_the_healthy_share(sick: u64) {
    check(hosts(sick)).holds(keyed(sick), |report| {
        let ((good, _), (_, sent)) = (shares(report, "healthy"), shares(report, "sick"));
        ensure(good >= 0.99, || format!("healthy hosts answer {good} of their requests"))?;
        // A fifth of the run is over before they fail.
        ensure(sent <= 0.45, || format!("{sent} of the requests to failing hosts are sent"))
    });
}

#[test]
fn s19_keyed_breakers_keep_the_healthy_share_at_20_percent_errors() {
    keyed_breakers_keep_the_healthy_share(1);
}

#[test]
fn s19_keyed_breakers_keep_the_healthy_share_at_40_percent_errors() {
    keyed_breakers_keep_the_healthy_share(2);
}

#[test]
fn s19_keyed_breakers_keep_the_healthy_share_at_60_percent_errors() {
    keyed_breakers_keep_the_healthy_share(3);
}

/// Where a breaker harms: one over several hosts takes the healthy ones away with the others.
#[test]
fn s19_one_breaker_for_all_hosts_harms_the_healthy_ones_at_60_percent_errors() {
    check(hosts(3)).holds(shared(3), |report| {
        let (good, _) = shares(report, "healthy");
        ensure(good <= 0.45, || format!("healthy hosts answer {good} of their requests"))
    });
}

/// Below its threshold it does not harm; it does not help either.
#[test]
fn s19_one_breaker_for_all_hosts_is_of_no_use_at_20_percent_errors() {
    check(hosts(1)).holds(shared(1), |report| {
        let ((good, _), (_, sent)) = (shares(report, "healthy"), shares(report, "sick"));
        ensure(openings(report, "shared") == 0, || "it opened".to_owned())?;
        ensure(good >= 0.99, || format!("healthy hosts answer {good} of their requests"))?;
        ensure(sent >= 0.99, || format!("{sent} of the requests to the failing host are sent"))
    });
}

/// One host, of whose requests this share fails from the third second on, whichever they are.
fn spread(share: f64) -> Plan {
    let faults = Faults::new().errors("db", share, seconds(3), seconds(60));
    world(seconds(15), Clients::open(100.0), faults)
}

fn one(world: &mut World<'_>) {
    let breaker = breaker(world, "db breaker").build();
    let db = world.server("db");
    world.clients("shop", ServiceBuilder::new().layer(breaker).layer(LiftLayer).service(db));
}

/// Where a breaker harms: errors that have nothing to do with each other. Without one, four of ten
/// requests are answered.
#[test]
fn s19_a_breaker_harms_where_errors_are_spread_over_all_requests() {
    check(spread(0.6)).holds(one, |report| {
        let good = report.goodput_between(seconds(5), seconds(15));
        ensure(good <= 0.1, || format!("goodput {good}, of 0.4 without a breaker"))
    });
}

#[test]
fn s19_a_breaker_does_no_harm_below_its_threshold() {
    check(spread(0.2)).holds(one, |report| {
        ensure(openings(report, "db breaker") == 0, || "it opened".to_owned())?;
        ensure(report.rejections().is_empty(), || format!("{:?}", report.rejections()))
    });
}

/// Ten times as slow from the twelfth second to the sixteenth, and never an error.
fn slow() -> Plan {
    let faults = Faults::new().slow("db", 10.0, seconds(12), seconds(4));
    world(seconds(23), Clients::open(60.0), faults)
}

fn judging(slow_calls: bool) -> impl Fn(&mut World<'_>) {
    move |world| {
        let builder = CircuitBreakerLayer::builder()
            .name("db breaker")
            .classify(Failures)
            .window(Window::time(seconds(1)))
            .failure_rate(0.5)
            .open_for(ms(500))
            .open_for_at_most(seconds(1))
            .seed(world.seed("breaker"))
            .observe(world.observer());
        let slow = if slow_calls { builder.slow_calls(ms(300), 0.3) } else { builder };
        let breaker = slow.build();
        let handle = breaker.handle();
        let closed = world.sometimes("closed before, after 12 windows of traffic");
        world.at(ms(11_900), move || {
            if handle.snapshot().openings == 0 {
                closed.happened();
            }
        });
        let db = world.server("db");
        world.clients("shop", ServiceBuilder::new().layer(breaker).layer(LiftLayer).service(db));
    }
}

#[test]
fn s21_slow_calls_open_the_circuit_without_an_error() {
    check(slow()).holds(judging(true), |report| {
        let opened = openings(report, "db breaker");
        ensure(opened > 0, || "it did not open".to_owned())?;
        let failed = report.servers["db"].failed;
        ensure(failed == 0, || format!("{failed} calls failed"))?;
        let before = report.goodput_between(seconds(0), seconds(12));
        ensure(before >= 0.99, || format!("goodput before: {before}"))?;
        // While it is slow, most are spared the wait; then it is found to be well again.
        let after = report.goodput_between(seconds(21), seconds(23));
        ensure(after >= 0.99, || format!("goodput after: {after}"))
    });
}

#[test]
fn s21_without_the_slow_call_rule_it_stays_closed() {
    check(slow()).holds(judging(false), |report| {
        let opened = openings(report, "db breaker");
        ensure(opened == 0, || format!("opened {opened} times"))
    });
}
