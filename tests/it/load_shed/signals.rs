//! Signals: gauges of overload from elsewhere.

use std::sync::Arc;

use buttress::Reason;
use buttress::load_shed::{Gauge, LoadShedLayer, Signal};
use tower::Layer;

use crate::support::{Ask, Mock, call, refusal};

/// How many of a thousand calls are served, after ten windows of traffic without overload.
async fn served<M>(gauge: &Gauge, level: f64, layer: LoadShedLayer<M>) -> usize
where
    LoadShedLayer<M>: Layer<Mock, Service: crate::contract::Subject>,
{
    let mut service = layer.layer(Mock::new());
    gauge.set(0.0);
    for _ in 0..1000 {
        call(&mut service, Ask::Answer(1)).await.unwrap();
    }
    gauge.set(level);
    let mut served = 0;
    for _ in 0..1000 {
        match call(&mut service, Ask::Answer(1)).await {
            Ok(_) => served += 1,
            refused => {
                let rejected = refusal(refused.map_err(Into::into));
                assert_eq!(rejected.reason(), Reason::Overloaded);
            }
        }
    }
    served
}

#[tokio::test(start_paused = true)]
async fn a_level_is_the_share_of_calls_that_is_shed() {
    for (level, least, most) in [(0.0, 1000, 1000), (0.3, 660, 740), (0.9, 70, 130), (1.0, 0, 0)] {
        let gauge = Gauge::new();
        let plain = LoadShedLayer::builder().signal(gauge.clone()).seed(7).build();
        let refusing = served(&gauge, level, plain).await;
        let queue = LoadShedLayer::builder().queue(9).signal(gauge.clone()).seed(7).build();
        let queueing = served(&gauge, level, queue).await;
        assert_eq!(refusing, queueing, "one seed, the same draws");
        assert!((least..=most).contains(&refusing), "{refusing} at {level}");
    }
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_the_nearer_bound_and_nan_sheds_nothing() {
    for (level, expected) in [(f64::NAN, 1000), (-1.0, 1000), (7.0, 0)] {
        let gauge = Gauge::new();
        let layer = LoadShedLayer::builder().signal(gauge.clone()).build();
        assert_eq!(served(&gauge, level, layer).await, expected, "{level}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_signals_the_highest_counts() {
    let (one, other) = (Gauge::new(), Arc::new(Gauge::new()));
    let layer =
        LoadShedLayer::builder().signal(one.clone()).signal(other.clone()).signal(|| 0.1).build();
    let excess = || (layer.handle().excess() * 10.0).round();
    assert!((excess() - 1.0).abs() < 0.1);
    one.set(0.4);
    other.set(0.3);
    assert!((excess() - 4.0).abs() < 0.1 && layer.handle().is_shedding());
    other.set(1.0);
    assert!((other.level() - 1.0).abs() < 0.1);
    refusal(call(&mut layer.layer(Mock::new()), Ask::Answer(1)).await);
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_is_back_at_0_sheds_nobody() {
    let gauge = Gauge::new();
    let layer = LoadShedLayer::builder().signal(gauge.clone()).build();
    let mut service = layer.layer(Mock::new());
    gauge.set(1.0);
    refusal(call(&mut service, Ask::Answer(1)).await);
    gauge.set(0.0);
    for _ in 0..1000 {
        call(&mut service, Ask::Answer(1)).await.unwrap();
    }
    assert!(!layer.handle().is_shedding());
}
