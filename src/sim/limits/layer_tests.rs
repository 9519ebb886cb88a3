//! Runs against the layer itself, in a `Sim`: the few lines that stand for it do as it does.

use std::time::Duration;

use tower::{ServiceBuilder, ServiceExt};

use super::{Static, Workload};
use crate::adaptive_limit::{AdaptiveLimitLayer, Aimd, Algorithm, Cohort};
use crate::sim::{Clients, Failures, Latency, Plan, Server, Sim};
use crate::timeout::TimeoutLayer;
use crate::{BoxError, LiftLayer};

const DEADLINE: Duration = Duration::from_millis(500);
const RUN_FOR: Duration = Duration::from_secs(200);
const CAPACITY: f64 = 200.0;

/// What happened in a second.
#[derive(Debug)]
struct PerSecond {
    good: f64,
    refused: f64,
}

fn server() -> Server {
    Server::workers(10, Latency::exponential(Duration::from_millis(50)))
}

#[allow(clippy::cast_precision_loss)]
fn per_second(good: u64, refused: u64) -> PerSecond {
    let seconds = RUN_FOR.as_secs_f64();
    PerSecond { good: good as f64 / seconds, refused: refused as f64 / seconds }
}

/// The layer.
fn in_a_sim<A: Algorithm + 'static>(algorithm: A, load: f64) -> PerSecond {
    let plan = Plan::new(RUN_FOR)
        .server("db", server())
        .clients("shop", Clients::open(load * CAPACITY).deadline(2 * DEADLINE))
        .drain(Duration::ZERO);
    let report = Sim::new(1).run(&plan, |world| {
        let limit = AdaptiveLimitLayer::builder().algorithm(algorithm).classify(Failures).build();
        let stack = ServiceBuilder::new()
            .layer(limit)
            .layer(TimeoutLayer::new(DEADLINE))
            .layer(LiftLayer)
            .service(world.server("db"));
        world.clients("shop", stack.map_err(BoxError::from));
    });
    let shop = &report.clients["shop"];
    per_second(shop.good, shop.refused.get("limit_reached").copied().unwrap_or(0))
}

/// What stands for it.
fn on_trial<A: Algorithm + 'static>(algorithm: A, load: f64) -> PerSecond {
    let workload = Workload::new(server(), load).deadline(DEADLINE).run_for(RUN_FOR);
    let mut algorithm = Some(Box::new(algorithm) as Box<dyn Algorithm>);
    let trial = workload.run(1, |_| algorithm.take().expect("one caller"));
    per_second(trial.ends().answered, trial.refused())
}

fn alike<A: Algorithm + 'static>(algorithm: impl Fn() -> A, load: f64) {
    let [layer, trial] = [in_a_sim(algorithm(), load), on_trial(algorithm(), load)];
    assert!((layer.good / trial.good - 1.0).abs() < 0.03, "load {load}: {layer:?}, {trial:?}");
    let apart = (layer.refused - trial.refused).abs() / (load * CAPACITY);
    assert!(apart < 0.03, "load {load}: {layer:?}, {trial:?}");
}

#[test]
fn a_trial_is_what_the_layer_does_in_a_sim() {
    for load in [0.8, 2.0] {
        alike(|| Static::new(8), load);
        alike(|| Static::new(30), load);
        alike(Cohort::new, load);
        // That one is shown every call.
        alike(Aimd::new, load);
    }
}
