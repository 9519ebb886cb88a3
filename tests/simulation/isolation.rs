//! Scenarios 20, 25, 31: what a layer must not do to those who did nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::bulkhead::{BulkheadLayer, FindPartition};
use buttress::circuit_breaker::{CircuitBreakerLayer, Phase};
use buttress::observe::EventKind;
use buttress::sim::{
    Clients, Failures, Faults, Latency, Plan, Report, Request, Server, World, ensure,
};
use buttress::timeout::{Deadline, FromRequest, TimeoutLayer};
use buttress::{LiftLayer, Reason, Rejectable, Rejected};
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, service_fn};

use crate::figures::Spread;
use crate::stacks::{
    SERVICE_TIME, TRIGGER, WORKERS, check, check_of, client_side, clients, ms, seconds, server_side,
};

const MINIMUM: usize = 20;
const WINDOW: Duration = seconds(10);

fn broken(run_for: Duration, clients: Clients) -> Plan {
    Plan::new(run_for)
        .server("db", Server::workers(10, Latency::exponential(ms(20))))
        .clients("shop", clients)
        .faults(Faults::new().errors("db", 1.0, Duration::ZERO, 2 * run_for))
}

/// A breaker with the default window and minimum, and what it has seen since it was last closed.
fn watched(world: &mut World<'_>) {
    let breaker = CircuitBreakerLayer::builder()
        .name("breaker")
        .classify(Failures)
        .seed(world.seed("breaker"))
        .observe(world.observer())
        .build();
    let handle = breaker.handle();
    let opened = world.sometimes("opened");
    let seen = Arc::new(Mutex::new((VecDeque::new(), Phase::Closed)));
    let ended = Arc::clone(&seen);
    world.always("the circuit opens only over the minimum of calls", move || {
        let (seen, before) = &mut *seen.lock().unwrap();
        let phase = handle.phase();
        let opens = (*before, phase) == (Phase::Closed, Phase::Open);
        if (*before, phase) != (Phase::Closed, Phase::Closed) {
            // What the window held says nothing once the circuit has closed again.
            let calls =
                std::mem::take(seen).into_iter().filter(|at: &Instant| at.elapsed() <= WINDOW);
            *before = phase;
            if opens {
                opened.happened();
                let calls = calls.count();
                return ensure(calls >= MINIMUM, || format!("{calls} calls in the window"));
            }
        }
        Ok(())
    });
    let stack = ServiceBuilder::new()
        .layer(breaker)
        .map_result(move |outcome| {
            ended.lock().unwrap().0.push_back(Instant::now());
            outcome
        })
        .layer(LiftLayer)
        .service(world.server("db"));
    world.clients("shop", stack);
}

#[test]
fn s20_a_breaker_opens_only_over_its_minimum_of_calls() {
    check_of(|seed| broken(seconds(60), Clients::open(0.5 + 0.1 * (seed % 30) as f64)))
        .holds(watched, |_| Ok(()));
}

#[test]
fn s20_low_traffic_never_opens_a_breaker() {
    // Up to 16 calls in ten seconds, for ten minutes, none of which succeeds.
    let trickle = Clients::closed(1, Latency::uniform(ms(630), ms(900)));
    check(broken(seconds(600), trickle)).holds(
        |world| {
            let breaker = CircuitBreakerLayer::builder()
                .name("breaker")
                .classify(Failures)
                .observe(world.observer())
                .build();
            let db = world.server("db");
            let stack = ServiceBuilder::new().layer(breaker).layer(LiftLayer).service(db);
            world.clients("shop", stack);
        },
        |report| {
            let moved =
                report.events_of("breaker", |kind| matches!(kind, EventKind::Transitioned { .. }));
            let failed = report.servers["db"].failed;
            ensure(moved == 0 && failed > 600 && failed == report.offered(), || {
                format!("{moved} transitions, {failed} of {} failed", report.offered())
            })
        },
    );
}

/// Two servers, each with clients of its own; `a` becomes ten times as slow.
fn neighbours() -> Plan {
    let server = || Server::workers(WORKERS, Latency::exponential(SERVICE_TIME));
    Plan::new(seconds(24))
        .server("a", server())
        .server("b", server())
        .clients("of a", clients(0.5))
        .clients("of b", clients(0.5))
        .faults(Faults::new().slow("a", 10.0, TRIGGER.0, TRIGGER.1))
}

/// Goodput of the clients of `b`, and of `a`, during the trigger.
fn during(report: &Report, name: &str) -> f64 {
    let moments = &report.clients[name].moments[100..200];
    let (good, offered) = moments.iter().fold((0, 0), |sum, m| (sum.0 + m.good, sum.1 + m.offered));
    good as f64 / offered as f64
}

fn b_does_not_suffer(wire: impl Fn(&mut World<'_>)) {
    let (a, b) = (Spread::of("goodput of a"), Spread::of("goodput of b"));
    check(neighbours()).holds(wire, |report| {
        let (of_a, of_b) = (a.note(during(report, "of a")), b.note(during(report, "of b")));
        ensure(of_a < 0.8 && of_b >= 0.99, || format!("goodput of a {of_a}, of b {of_b}"))
    });
}

#[test]
fn s25_a_stack_for_each_dependency_keeps_a_failure_to_itself() {
    b_does_not_suffer(|world| {
        for (name, clients) in [("a", "of a"), ("b", "of b")] {
            let server = server_side(world, name);
            let stack = client_side(world, name, server);
            world.clients(clients, stack);
        }
    });
}

/// All calls, to whichever server, go through one bulkhead.
fn one_bulkhead<P>(world: &mut World<'_>, bulkhead: &BulkheadLayer<buttress::bulkhead::Refuse, P>)
where
    P: FindPartition<Request> + Send + Sync + 'static,
{
    for (key, name, clients) in [(0, "a", "of a"), (1, "b", "of b")] {
        let stack = ServiceBuilder::new()
            .map_request(move |mut request: Request| {
                request.key = key;
                request
            })
            .layer(bulkhead)
            .layer(TimeoutLayer::new(ms(900)))
            .layer(LiftLayer)
            .service(world.server(name));
        world.clients(clients, stack);
    }
    let handle = bulkhead.handle();
    world.idle("in flight", move || handle.in_flight());
}

#[test]
fn s25_partitions_of_one_bulkhead_keep_a_failure_to_its_share() {
    b_does_not_suffer(|world| {
        let shared = BulkheadLayer::builder(40)
            .partition(|request: &Request| request.key, [(0, 0.5), (1, 0.5)])
            .build();
        one_bulkhead(world, &shared);
    });
}

#[test]
fn s25_without_partitions_a_failure_takes_the_others_with_it() {
    let b = Spread::of("goodput of b");
    check(neighbours()).at_most(64).holds(
        |world| one_bulkhead(world, &BulkheadLayer::new(40)),
        |report| {
            let of_b = b.note(during(report, "of b"));
            ensure(of_b < 0.9, || format!("goodput of b {of_b}"))
        },
    );
}

/// Calls that take anything, and limits that are anything, to the microsecond.
fn any_durations() -> Plan {
    Plan::new(seconds(8))
        .server("db", Server::workers(1000, Latency::log_normal(ms(150), 1.2)))
        .clients("shop", Clients::open(100.0).deadline(ms(400)).keys(600_000))
}

fn limit(request: &Request) -> Duration {
    Duration::from_micros(1 + request.key)
}

/// Around a timeout: notes the ends of calls that come too early or too late.
fn timed(world: &mut World<'_>) {
    let ends = ["timed out", "at the deadline", "in time"].map(|name| world.sometimes(name));
    let off = Arc::new(Mutex::new(None));
    let found = Arc::clone(&off);
    world.always("calls end in time", move || found.lock().unwrap().clone().map_or(Ok(()), Err));
    let layer = TimeoutLayer::builder(seconds(1)).deadline(FromRequest).per_request(limit).build();
    let db = ServiceBuilder::new().layer(layer).layer(LiftLayer).service(world.server("db"));
    let watch = service_fn(move |request: Request| {
        let (off, mut db, ends) = (Arc::clone(&off), db.clone(), ends.clone());
        async move {
            let own = Instant::now() + limit(&request);
            let deadline = request.deadline.map_or(own, Deadline::instant);
            let outcome = db.call(request).await;
            let now = Instant::now();
            let reason =
                outcome.as_ref().err().and_then(Rejectable::rejected).map(Rejected::reason);
            let (end, from) = match reason {
                Some(Reason::TimedOut) => (0, own),
                Some(_) => (1, deadline),
                None => (2, now),
            };
            ends[end].happened();
            // Timers fire on the millisecond.
            if now < from || now > own.min(deadline) + ms(1) {
                let says = format!("{reason:?} at {now:?}, limit {own:?}, deadline {deadline:?}");
                *off.lock().unwrap() = Some(says);
            }
            outcome
        }
    });
    world.clients("shop", watch);
}

#[test]
fn s31_a_timeout_is_never_early_and_at_most_a_millisecond_late() {
    check(any_durations()).holds(timed, |report| {
        let all = report.sometimes.values().all(|count| *count > 10);
        ensure(all, || format!("{:?}", report.sometimes))
    });
}
