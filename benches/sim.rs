//! How fast the simulator is: simulated requests per second, on one core.

use std::time::Duration;

use buttress::LiftLayer;
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::retry::RetryLayer;
use buttress::sim::{Clients, Failures, Latency, Plan, RetryPolicy, Server, Sim, World};
use buttress::timeout::{FromRequest, TimeoutLayer};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use tower::ServiceBuilder;

/// Two seconds of a busy server.
fn sim(c: &mut Criterion) {
    let mut group = c.benchmark_group("sim");
    group.sample_size(10);
    simulated(&mut group, "clients and a server", |world| {
        let db = world.server("db");
        world.clients("shop", db);
    });
    simulated(&mut group, "with a stack between them", layered);
    group.finish();
}

fn simulated(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, wire: impl Fn(&mut World<'_>)) {
    let plan = Plan::new(Duration::from_secs(2))
        .server("db", Server::workers(200, Latency::exponential(Duration::from_millis(20))))
        .clients("shop", Clients::open(7000.0));
    let run = || {
        let report = Sim::new(1).run(&plan, &wire);
        report.sound().expect("a sound run");
        report.offered()
    };
    group.throughput(Throughput::Elements(run()));
    group.bench_function(name, |b| b.iter(run));
}

fn layered(world: &mut World<'_>) {
    let stack = ServiceBuilder::new()
        .layer(TimeoutLayer::builder(Duration::from_secs(5)).deadline(FromRequest).build())
        .layer(RetryLayer::builder(RetryPolicy).seed(world.seed("retry")).build())
        .layer(
            CircuitBreakerLayer::builder().classify(Failures).seed(world.seed("breaker")).build(),
        )
        .layer(BulkheadLayer::new(800))
        .layer(TimeoutLayer::new(Duration::from_millis(250)))
        .layer(LiftLayer)
        .service(world.server("db"));
    world.clients("shop", stack);
}

criterion_group!(benches, sim);
criterion_main!(benches);
