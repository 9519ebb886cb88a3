//! How fast the simulator is on this machine.

use std::time::Duration;

use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::retry::RetryLayer;
use buttress::sim::{Clients, Failures, Latency, Plan, RetryPolicy, Server, Sim, World};
use buttress::timeout::{FromRequest, TimeoutLayer};
use buttress::{BoxError, LiftLayer};
// In this thread, which has no runtime, tokio's clock is that of the machine.
use tokio::time::Instant;
use tower::ServiceBuilder;

use crate::say;
use crate::stack::{Stack, wire};

const ROUNDS: u64 = 5;

/// Simulated requests per second, on one core: the best of some rounds.
pub(crate) fn measure() -> Result<(), BoxError> {
    let plan = Plan::new(Duration::from_secs(60))
        .server("db", Server::workers(200, Latency::exponential(Duration::from_millis(20))))
        .clients("shop", Clients::open(7000.0));
    let bare = best(&plan, |world| {
        let db = world.server("db");
        world.clients("shop", db);
    });
    row("clients and a server", bare)?;
    row("with all layers between them", best(&plan, layered))?;
    row("and at the server, all observed", best(&plan, |world| wire(world, &plan, Stack::Full, 4)))
}

fn row(what: &str, per_second: f64) -> Result<(), BoxError> {
    say(&format!("{what:<34}{per_second:>9.0} simulated requests/s on one core\n"))
}

/// The client's side of the full stack. Nobody observes it.
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

fn best(plan: &Plan, wire: impl Fn(&mut World<'_>)) -> f64 {
    let round = |seed| {
        let begun = Instant::now();
        let report = Sim::new(seed).run(plan, &wire);
        #[allow(clippy::cast_precision_loss, reason = "half a million")]
        let offered = report.offered() as f64;
        offered / begun.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(round).fold(0.0, f64::max)
}
