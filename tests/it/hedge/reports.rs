//! What a hedge tells, and what it will not be built with.

use buttress::hedge::Config;
use buttress::observe::EventKind::{self, Hedged, Settled};
use buttress::retry::{BudgetConfig, Idempotent};

use super::*;
use crate::support::{admitted, call, panics, settled};

#[tokio::test(start_paused = true)]
async fn a_second_attempt_is_told_when_it_is_sent() {
    let mut rig = Rig::second(Ask::Answer(2));
    call(&mut rig.service, Ask::Hold).await.unwrap();
    assert_eq!(rig.told(), [admitted(), Hedged, settled(Class::Success)]);
    call(&mut rig.service, Ask::Fail(7)).await.unwrap();
    assert_eq!(rig.told(), [admitted(), Hedged, settled(Class::Success)]);
    call(&mut rig.service, Ask::Answer(1)).await.unwrap();
    assert_eq!(rig.told(), [admitted(), settled(Class::Success)]);
    rig.ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn a_call_is_settled_once_with_the_class_of_its_answer_and_all_the_time_it_took() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let mut rig = Rig::with(Plan::second(Ask::FailAfter(30 * MS, BUSY)), |builder| {
        builder.name("search").observe(move |event: &Event<'_>| {
            assert_eq!((event.layer, event.name), ("hedge", "search"));
            if let Settled { class, latency } = event.kind {
                log.lock().unwrap().push((class, latency));
            }
        })
    });
    call(&mut rig.service, Ask::FailAfter(20 * MS, 7)).await.unwrap_err();
    call(&mut rig.service, Ask::After(20 * MS, 7)).await.unwrap();
    call(&mut rig.service, Ask::FailAfter(5 * MS, 7)).await.unwrap_err();
    let busy = Class::Overload { retry_after: None };
    let expected = [(busy, 40 * MS), (Class::Success, 20 * MS), (busy, 35 * MS)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn without_a_name_it_is_called_by_its_kind() {
    let layer = HedgeLayer::builder(Plan::default())
        .observe(|event: &Event<'_>| assert_eq!((event.layer, event.name), ("hedge", "hedge")))
        .build();
    call(&mut layer.layer(Mock::new()), Ask::Answer(1)).await.unwrap();
}

#[test]
fn nonsense_is_refused_by_try_build_and_build_panics_with_the_same_text() {
    let of = |delay| HedgeLayer::builder(Idempotent).delay(delay);
    let refused = |delay| of(delay).try_build().unwrap_err().to_string();
    let text = "hedge.delay is 0ns, allowed is longer than 0";
    assert_eq!(refused(Delay::Fixed(Duration::ZERO)), text);
    assert_eq!(panics(|| of(Delay::Fixed(Duration::ZERO)).build()), text);
    for share in [0.0, -0.5, 1.0, 95.0, f64::NAN, f64::INFINITY] {
        let allowed = "allowed is a percentile of more than 0 and less than 1";
        assert_eq!(
            refused(Delay::Percentile(share)),
            format!("hedge.delay is {share:?}, {allowed}")
        );
    }
    for share in [f64::MIN_POSITIVE, 0.5, 0.999] {
        of(Delay::Percentile(share)).try_build().unwrap();
    }
    for window in [Duration::ZERO, 99 * MS, 86_401 * SECOND, Duration::MAX] {
        let error = HedgeLayer::builder(Idempotent).window(window).try_build().unwrap_err();
        assert_eq!((error.setting(), error.allowed()), ("hedge.window", "100 ms to 24 h"));
    }
    for window in [100 * MS, 86_400 * SECOND] {
        HedgeLayer::builder(Idempotent).window(window).try_build().unwrap();
    }
    let budget = Budget::ratio(f64::NAN);
    let error = HedgeLayer::builder(Idempotent).budget(budget).try_build().unwrap_err();
    assert_eq!(error.setting(), "budget.ratio");
}

#[tokio::test(start_paused = true)]
async fn a_config_builds_the_same_hedge() {
    let mut config = Config::default();
    assert_eq!(config.delay, Delay::Percentile(0.95));
    assert_eq!(config.window, 60 * SECOND);
    config.delay = Delay::Fixed(10 * MS);
    config.budget = BudgetConfig::InFlight { ratio: 0.2, at_least: 7 };
    config.name = Some("search".into());
    let plan = Plan::second(Ask::Answer(2));
    let layer = HedgeLayer::from_config(plan.clone(), config.clone()).unwrap();
    assert_eq!(layer.handle().delay(), Some(10 * MS));
    assert_eq!(tokens(layer.budget()), 7);
    assert!(format!("{layer:?}").contains("hedge(search)"));
    assert_eq!(call(&mut layer.layer(Mock::new()), Ask::Hold).await, Ok(2));
    config.window = Duration::ZERO;
    assert!(HedgeLayer::from_config(plan, config).is_err());
}

#[tokio::test(start_paused = true)]
async fn everything_tells_what_it_is() {
    let mut rig = Rig::second(Ask::Answer(2));
    let future = call(&mut rig.service, Ask::Answer(1));
    assert_eq!(format!("{future:?}"), "hedge::ResponseFuture");
    assert!(format!("{:?}", rig.layer.handle()).contains("10ms"));
    let builder = HedgeLayer::builder(Idempotent);
    assert!(format!("{builder:?}").contains("Percentile(0.95)"));
    assert!(format!("{:?}", rig.service).contains("Hedge"));
    drop(future);
    assert_eq!(rig.told(), [admitted(), EventKind::Abandoned]);
}
