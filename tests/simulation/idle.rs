//! Scenario 22: thirty days without a call, three times.

use std::time::Duration;

use buttress::LiftLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Phase, Snapshot, Window};
use buttress::retry::{Backoff, Budget, RetryLayer};
use buttress::sim::{Clients, Failures, Faults, Plan, RetryPolicy, World, ensure};
use tower::ServiceBuilder;

use crate::stacks::{check, ms, seconds, world};
use crate::tools::{Finding, openings};

const DAY: Duration = seconds(24 * 60 * 60);
const IDLE: Duration = DAY.saturating_mul(30);
const BUSY: Duration = seconds(10);

/// Ten seconds of traffic every thirty days, and what goes wrong in them.
fn plan() -> Plan {
    let month = |n: u32| IDLE * n;
    let faults = Faults::new()
        // Too few failures to open, at the very end.
        .errors("db", 1.0, month(0) + ms(9500), ms(600))
        // Open when the traffic ends.
        .errors("db", 1.0, month(1) + seconds(6), seconds(5))
        // Half open when the traffic ends, with probes that are never answered.
        .errors("db", 1.0, month(2) + seconds(4), seconds(2))
        .silence("db", month(2) + seconds(6), seconds(5));
    let clients = Clients::bursts(50.0, BUSY, IDLE.saturating_sub(BUSY)).timeout(DAY * 60);
    world(month(3) + BUSY, clients, faults)
}

fn budget() -> Budget {
    Budget::ratio(0.2).per(seconds(10)).at_least(0)
}

fn wire(world: &mut World<'_>) {
    let breaker = CircuitBreakerLayer::builder()
        .name("db breaker")
        .classify(Failures)
        .window(Window::time(seconds(2)))
        .open_for(ms(800))
        .open_for_at_most(seconds(8))
        // Longer than the traffic lasts, shorter than it is away.
        .half_open_for(DAY)
        .seed(world.seed("breaker"))
        .observe(world.observer())
        .build();
    let handle = breaker.handle();
    let budget = budget();
    let retry = RetryLayer::builder(RetryPolicy)
        .name("db retry")
        .max_attempts(2)
        .backoff(Backoff::exponential(ms(5), ms(20)))
        .budget(budget.clone())
        .seed(world.seed("retry"))
        .observe(world.observer())
        .build();
    let fresh = Finding::of(world, "after thirty days nothing counts");
    for (month, phase) in [(1, Phase::Closed), (2, Phase::Open), (3, Phase::HalfOpen)] {
        let ended = world.sometimes(format!("{phase} when the traffic ended"));
        let after = handle.clone();
        world.at(IDLE * (month - 1) + BUSY, move || {
            if after.phase() == phase {
                ended.happened();
            }
        });
        let (handle, budget, fresh) = (handle.clone(), budget.clone(), fresh.clone());
        world.at((IDLE * month).saturating_sub(ms(1)), move || {
            is_fresh(&handle.snapshot(), &budget, &fresh);
        });
    }
    let db = world.server("db");
    let stack = ServiceBuilder::new().layer(retry).layer(breaker).layer(LiftLayer).service(db);
    world.clients("shop", stack);
}

fn is_fresh(snapshot: &Snapshot, old: &Budget, fresh: &Finding) {
    let counted = (snapshot.calls, snapshot.failed, snapshot.slow);
    fresh.ensure(counted == (0, 0, 0), || format!("{snapshot:?}"));
    let over = snapshot.until.is_none_or(|left| left.is_zero());
    fresh.ensure(over, || format!("still open: {snapshot:?}"));
    let (old, new) = (old.available(), budget().available());
    fresh.ensure((old - new).abs() < 1e-6, || format!("a budget of {old}, not of {new}"));
}

#[test]
fn s22_thirty_idle_days_three_times() {
    check(plan()).holds(wire, |report| {
        // The first calls find it half open, and but for a few probes are refused; then all is
        // well.
        let last = report.goodput_between(IDLE * 3, IDLE * 3 + DAY);
        ensure(last >= 0.95, || format!("goodput in the last ten seconds: {last}"))?;
        let opened = openings(report, "db breaker");
        ensure(opened >= 2, || format!("opened {opened} times"))
    });
}
