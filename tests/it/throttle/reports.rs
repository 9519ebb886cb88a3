//! What a throttle tells, and what it will not be built with.

use buttress::load_shed::ThrottleConfig;
use buttress::observe::Event;
use buttress::observe::EventKind::{Rejected, Settled, WouldReject};

use super::*;
use crate::support::{admitted, panics, settled};

#[tokio::test(start_paused = true)]
async fn calls_are_told_with_their_classes_and_refusals_with_their_reason() {
    let mut rig = Rig::new();
    rig.send(Ask::Answer(1), 1).await;
    assert_eq!(rig.told(), [admitted(), settled(Class::Success)]);
    rig.send(Ask::Fail(BUSY), 1).await;
    assert_eq!(rig.told(), [admitted(), settled(Class::Overload { retry_after: None })]);
    while rig.reaches(Ask::Fail(BUSY)).await {
        rig.told();
    }
    assert_eq!(rig.told(), [Rejected(Reason::Overloaded)]);
    rig.ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn latencies_are_told_and_names() {
    let layer = ThrottleLayer::builder().name("search").observe(|event: &Event<'_>| {
        assert_eq!((event.layer, event.name), ("throttle", "search"));
        if let Settled { latency, .. } = event.kind {
            assert_eq!(latency, 20 * MS);
        }
    });
    call(&mut layer.build().layer(Mock::new()), Ask::After(20 * MS, 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shadow_decides_counts_and_reports_but_refuses_nobody() {
    let (mut real, mut shadow) = (Rig::new(), Rig::with(ThrottleBuilder::shadow));
    for n in 0..2_000 {
        let ask = if n % 5 == 0 { Ask::Answer(1) } else { Ask::Fail(BUSY) };
        let passed = real.reaches(ask).await;
        assert!(shadow.reaches(ask).await);
        // It counts what it would have refused as refused: so both decide alike.
        assert_eq!(real.counts(), shadow.counts());
        assert_eq!(shadow.told().contains(&WouldReject(Reason::Overloaded)), !passed);
    }
    assert!(real.sent() < 1_500, "{}", real.sent());
    shadow.ledger.assert_settled();
}

#[test]
fn nonsense_is_refused_by_try_build_and_build_panics_with_the_same_text() {
    let error = |builder: ThrottleBuilder| builder.try_build().unwrap_err();
    let text = "throttle.multiplier is 0.5, allowed is 1 or more";
    assert_eq!(error(ThrottleLayer::builder().multiplier(0.5)).to_string(), text);
    assert_eq!(panics(|| ThrottleLayer::builder().multiplier(0.5).build()), text);
    for k in [f64::NAN, f64::INFINITY, 0.999, 0.0, -2.0] {
        let error = error(ThrottleLayer::builder().multiplier(k));
        assert_eq!((error.setting(), error.allowed()), ("throttle.multiplier", "1 or more"));
    }
    for floor in [f64::NAN, f64::INFINITY, -0.1] {
        let error = error(ThrottleLayer::builder().floor(floor));
        assert_eq!((error.setting(), error.allowed()), ("throttle.floor", "0 or more"));
    }
    for window in [Duration::ZERO, 999 * MS, 86_401 * SECOND, Duration::MAX] {
        let error = error(ThrottleLayer::builder().window(window));
        assert_eq!((error.setting(), error.allowed()), ("throttle.window", "1 s to 24 h"));
    }
    for (k, floor, window) in [(1.0, 0.0, SECOND), (1e9, 1e9, 86_400 * SECOND)] {
        ThrottleLayer::builder().multiplier(k).floor(floor).window(window).try_build().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_config_builds_the_same_throttle() {
    let mut config = ThrottleConfig::default();
    assert!((config.multiplier - 2.0).abs() < f64::EPSILON && config.window == WINDOW);
    assert!((config.floor - 1.0).abs() < f64::EPSILON && !config.shadow);
    config.multiplier = 5.0;
    config.window = SECOND;
    config.name = Some("search".into());
    let layer = ThrottleLayer::from_config(config.clone()).unwrap();
    assert!(format!("{layer:?}").contains("throttle(search)"));
    let mut service = layer.layer(Mock::new());
    for ask in [Ask::Answer(1), Ask::Refuse(Reason::TimedOut), Ask::Refuse(Reason::TimedOut)] {
        let _ = call(&mut service, ask).await;
    }
    assert!(layer.handle().probability() <= 0.0, "K = 5");
    assert_eq!(layer.handle().requests(), 3);
    advance(SECOND).await;
    assert_eq!(layer.handle().requests(), 0);
    config.multiplier = 0.0;
    assert!(ThrottleLayer::from_config(config).is_err());
}

#[tokio::test(start_paused = true)]
async fn everything_tells_what_it_is() {
    let mut rig = Rig::new();
    let future = call(&mut rig.service, Ask::Answer(1));
    assert_eq!(format!("{future:?}"), "load_shed::ThrottleFuture");
    assert!(format!("{:?}", rig.handle).contains("requests: 1"));
    assert!(format!("{:?}", ThrottleLayer::builder()).contains("multiplier: 2.0"));
    assert!(format!("{:?}", rig.service).contains("throttle(throttle)"));
    assert!(format!("{:?}", rig.layer).contains("probability: 0.0"));
    drop(future);
    assert_eq!(rig.told(), [admitted(), EventKind::Abandoned]);
}
