//! What a rate limit tells, what its shadow does, and what it will not be built with.

use std::time::Duration;

use buttress::observe::EventKind::{Abandoned, Admitted, Queued, Rejected, WouldReject};
use buttress::rate_limit::{Builder, Config, Overflow, RateLimitLayer};
use buttress::{Class, ConfigError, Reason};
use tower::Layer;

use super::{HOUR, MS, SECOND};
use crate::support::{Ask, Ledger, Mock, admitted, call, panics, refusal, settled};

#[tokio::test(start_paused = true)]
async fn events_report_who_came_waited_and_ended() {
    let ledger = Ledger::default();
    let layer = RateLimitLayer::builder()
        .name("api")
        .per_second(10)
        .burst(1)
        .max_wait(100 * MS)
        .observe(ledger.clone())
        .build();
    let mut service = layer.layer(Mock::new());
    drop(call(&mut service, Ask::Fail(1)).await);
    let waiting = call(&mut service, Ask::Answer(1));
    let refused = refusal(call(&mut service, Ask::Answer(1)).await);
    assert_eq!(refused.name(), Some("api"));
    waiting.await.unwrap();
    let waiting = call(&mut service, Ask::Answer(1));
    drop(waiting);
    tokio::time::sleep(HOUR).await;
    drop(call(&mut service, Ask::Hold));
    let events = [
        admitted(),
        settled(Class::Transient),
        Queued,
        Rejected(Reason::RateLimited),
        Admitted { waited: 100 * MS },
        settled(Class::Success),
        Queued,
        Abandoned,
        admitted(),
        Abandoned,
    ];
    assert_eq!(ledger.take("rate_limit"), events);
    ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn a_shadow_counts_and_reports_but_never_refuses_or_makes_wait() {
    let ledger = Ledger::default();
    let builder =
        || RateLimitLayer::builder().per_second(10).burst(1).observe(ledger.clone()).shadow();
    let (refusing, waiting) = (builder().build(), builder().max_wait(100 * MS).build());
    let (first, second) = (&mut refusing.layer(Mock::new()), &mut waiting.layer(Mock::new()));
    let start = tokio::time::Instant::now();
    for _ in 0..3 {
        call(first, Ask::Answer(1)).await.unwrap();
    }
    let passed = [admitted(), settled(Class::Success)];
    let would = [WouldReject(Reason::RateLimited), admitted(), settled(Class::Success)];
    assert_eq!(ledger.take("rate_limit"), [&passed[..], &would, &would].concat());
    for _ in 0..3 {
        call(second, Ask::Answer(1)).await.unwrap();
    }
    assert_eq!(ledger.take("rate_limit"), [&passed[..], &passed, &would].concat());
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(refusing.handle().wait(), 100 * MS, "what would have been refused costs nothing");
    assert_eq!(waiting.handle().wait(), 200 * MS, "what would have waited does");
    ledger.assert_settled();
}

#[test]
fn nonsense_is_refused_by_name() {
    let builder = || RateLimitLayer::builder().per_second(10);
    let cost = |cost| builder().burst(4).fixed_cost(cost).try_build();
    let said = |result: Result<_, ConfigError>| result.map(drop).unwrap_err().to_string();
    assert_eq!(said(cost(5)), "rate_limit.cost is 5, allowed is 1 to the burst");
    assert_eq!(said(cost(0)), "rate_limit.cost is 0, allowed is 1 to the burst");
    assert!(cost(4).is_ok());
    let all: [fn(Builder) -> Builder; 4] = [
        |builder| builder.per_second(0),
        |builder| builder.per(1, Duration::ZERO),
        |builder| builder.burst(0),
        |builder| builder.capacity(0),
    ];
    let settings = ["calls", "per", "burst", "capacity"].map(|name| format!("rate_limit.{name}"));
    for (set, setting) in all.into_iter().zip(settings) {
        assert_eq!(set(builder()).try_build().unwrap_err().setting(), setting);
    }
    let never = RateLimitLayer::builder().try_build().unwrap_err();
    assert_eq!(never.setting(), "rate_limit.calls", "a rate has no default");
    let wait = builder().max_wait(Duration::ZERO).try_build().map(drop).unwrap_err();
    assert_eq!(wait.setting(), "rate_limit.max_wait");
    let century = builder().per(1, 1_000_000 * HOUR).burst(2).try_build().unwrap_err();
    assert_eq!(century.setting(), "rate_limit.burst");
    assert!(builder().per(1, Duration::MAX).try_build().is_err());
    assert!(builder().per_second(u32::MAX).try_build().is_ok());
    assert!(panics(|| RateLimitLayer::new(0)).contains("rate_limit.calls is 0"));
}

#[tokio::test(start_paused = true)]
async fn a_layer_is_made_from_a_config() {
    let mut config = Config::new(10);
    config.burst = Some(1);
    config.name = Some("api".into());
    let refusing = RateLimitLayer::from_config(config.clone()).unwrap();
    let mut service = refusing.layer(Mock::new());
    call(&mut service, Ask::Answer(1)).await.unwrap();
    let refused = refusal(call(&mut service, Ask::Answer(1)).await);
    assert_eq!((refused.name(), refused.retry_after()), (Some("api"), Some(100 * MS)));

    config.max_wait = Some(SECOND);
    config.overflow = Overflow::Refuse;
    config.capacity = 1;
    let keyed = Builder::from(config).key(|ask: &Ask| *ask == Ask::Fail(1)).build();
    let mut service = keyed.layer(Mock::new());
    for _ in 0..2 {
        call(&mut service, Ask::Answer(1)).await.unwrap();
    }
    let refused = refusal(call(&mut service, Ask::Fail(1)).await);
    assert_eq!(refused.reason(), Reason::RateLimited);
}

#[cfg(feature = "serde")]
#[test]
fn a_rate_limit_is_read_with_its_rate_and_its_keys() {
    use serde_json::{from_value, json, to_value};

    let mut expected = Config::new(100);
    (expected.per, expected.burst, expected.cost) = (60_000 * MS, Some(20), 2);
    (expected.max_wait, expected.capacity) = (Some(200 * MS), 5_000);
    (expected.overflow, expected.shadow) = (Overflow::Refuse, true);
    expected.name = Some("api".into());
    let text = json!({
        "calls": 100, "per": "1m", "burst": 20, "cost": 2, "max_wait": "200ms",
        "capacity": 5_000, "overflow": "refuse", "shadow": true, "name": "api",
    });
    assert_eq!(from_value::<Config>(text.clone()).unwrap(), expected);
    assert_eq!(to_value(&expected).unwrap(), text);
    assert_eq!(from_value::<Config>(json!({ "calls": 7 })).unwrap(), Config::new(7));

    let wrong = |text| from_value::<Config>(text).unwrap_err().to_string();
    assert!(wrong(json!({ "calls": -1 })).starts_with("rate_limit.calls: "));
    assert!(wrong(json!({ "calls": 1, "rate": 3 })).contains("`rate`"));
    let file = from_value(json!({ "calls": 0 })).unwrap();
    let error = RateLimitLayer::from_config(file).unwrap_err();
    assert_eq!(error.to_string(), "rate_limit.calls is 0, allowed is 1 or more");
}
