//! Settings from a file, and what a mistake in one is answered with.

use std::time::Duration;

use buttress::adaptive_limit::{self, AdaptiveLimitLayer};
use buttress::bulkhead::{self, BulkheadLayer, QueueOrder};
use buttress::circuit_breaker::{self, CircuitBreakerLayer, Phase, SlowCalls, Snapshot, Window};
use buttress::hedge::{self, Delay};
use buttress::http::BodyTimeoutConfig;
use buttress::load_shed::{self, LoadShedLayer, QueueDelay, ThrottleConfig, ThrottleLayer};
use buttress::retry::{self, Backoff, BudgetConfig, Idempotent, Jitter, RetryLayer};
use buttress::timeout::{
    self, DeadlineConfig, HeaderFormat, PropagateDeadlineConfig, TimeoutLayer,
};
use serde_json::{Value, from_value, json, to_value};

const MS: Duration = Duration::from_millis(1);

#[test]
fn every_setting_is_read_under_its_name() {
    let mut expected = timeout::Config::new(1500 * MS);
    expected.also_readiness = true;
    expected.shadow = true;
    expected.name = Some("db".into());
    let text = json!({ "limit": "1s 500ms", "also_readiness": true, "shadow": true, "name": "db" });
    assert_eq!(from_value::<timeout::Config>(text).unwrap(), expected);

    let mut expected = bulkhead::Config::new(10);
    expected.queue = 50;
    expected.max_wait = Some(200 * MS);
    expected.order = QueueOrder::Adaptive;
    expected.shadow = true;
    expected.name = Some("db".into());
    let text = json!({
        "max_concurrent": 10, "queue": 50, "max_wait": "200ms", "order": "adaptive",
        "shadow": true, "name": "db",
    });
    assert_eq!(from_value::<bulkhead::Config>(text).unwrap(), expected);
}

#[test]
fn a_retry_is_read_with_its_backoff_and_its_budget() {
    let mut expected = retry::Config::default();
    expected.max_attempts = 4;
    expected.backoff =
        Backoff::exponential(20 * MS, 3000 * MS).jitter(Jitter::Decorrelated).at_least(5 * MS);
    expected.overload_base = 2000 * MS;
    expected.min_attempt = 50 * MS;
    expected.budget = BudgetConfig::Ratio { ratio: 0.1, per: 30_000 * MS, at_least: 2 };
    expected.name = Some("db".into());
    let text = json!({
        "max_attempts": 4,
        "backoff": { "base": "20ms", "cap": "3s", "jitter": "decorrelated", "at_least": "5ms" },
        "overload_base": "2s", "min_attempt": "50ms",
        "budget": { "ratio": { "ratio": 0.1, "per": "30s", "at_least": 2 } }, "name": "db",
    });
    assert_eq!(from_value::<retry::Config>(text.clone()).unwrap(), expected);
    assert_eq!(to_value(&expected).unwrap(), text);
    assert_eq!(from_value::<retry::Config>(json!({})).unwrap(), retry::Config::default());

    let budget = |text| from_value::<BudgetConfig>(text).unwrap();
    assert_eq!(budget(json!({ "ratio": { "ratio": 0.2 } })), BudgetConfig::default());
    let in_flight = BudgetConfig::InFlight { ratio: 0.2, at_least: 3 };
    assert_eq!(budget(json!({ "in_flight": { "ratio": 0.2 } })), in_flight);
    let tokens = BudgetConfig::Tokens { max: 10, ratio: 0.1, transient_cost: 1, overload_cost: 1 };
    assert_eq!(budget(json!({ "tokens": { "max": 10, "ratio": 0.1 } })), tokens);

    let wrong = |text| from_value::<retry::Config>(text).unwrap_err().to_string();
    let told = wrong(json!({ "backoff": { "base": "soon", "cap": "1s" } }));
    assert!(told.starts_with("retry.backoff: base: "), "{told}");
    let told = wrong(json!({ "attempts": 3 }));
    assert!(told.starts_with("retry") && told.contains("`attempts`"), "{told}");
    let file = from_value(json!({ "max_attempts": 0 })).unwrap();
    let error = RetryLayer::from_config(Idempotent, file).unwrap_err();
    assert_eq!(error.to_string(), "retry.max_attempts is 0, allowed is 1 or more");
}

#[test]
fn an_adaptive_limit_is_read_with_its_range_and_its_queue() {
    let mut expected = adaptive_limit::Config::default();
    (expected.min, expected.max, expected.initial) = (4, 500, Some(20));
    (expected.queue, expected.max_wait) = (50, Some(200 * MS));
    (expected.order, expected.shadow) = (QueueOrder::Adaptive, true);
    expected.name = Some("search".into());
    let text = json!({
        "min": 4, "max": 500, "initial": 20, "queue": 50, "max_wait": "200ms",
        "order": "adaptive", "shadow": true, "name": "search",
    });
    assert_eq!(from_value::<adaptive_limit::Config>(text.clone()).unwrap(), expected);
    assert_eq!(to_value(&expected).unwrap(), text);
    let default = adaptive_limit::Config::default();
    assert_eq!(from_value::<adaptive_limit::Config>(json!({})).unwrap(), default);

    let told = from_value::<adaptive_limit::Config>(json!({ "limit": 3 })).unwrap_err().to_string();
    assert!(told.starts_with("adaptive_limit") && told.contains("`limit`"), "{told}");
    let file = from_value(json!({ "min": 0 })).unwrap();
    let error = AdaptiveLimitLayer::from_config(file).unwrap_err();
    assert_eq!(error.to_string(), "adaptive_limit.min is 0, allowed is 1 or more");
}

#[test]
fn load_shedding_is_read_with_its_queue_delay() {
    let mut expected = load_shed::Config::default();
    expected.queue_delay = Some(QueueDelay { target: 2 * MS, interval: 50 * MS });
    expected.queue = Some(64);
    expected.fail_fast = Some(1500 * MS);
    expected.seed = Some(7);
    expected.shadow = true;
    expected.name = Some("front".into());
    let text = json!({
        "queue_delay": { "target": "2ms", "interval": "50ms" }, "queue": 64,
        "fail_fast": "1s 500ms", "seed": 7, "shadow": true, "name": "front",
    });
    assert_eq!(from_value::<load_shed::Config>(text.clone()).unwrap(), expected);
    assert_eq!(to_value(&expected).unwrap(), text);
    assert_eq!(from_value::<load_shed::Config>(json!({})).unwrap(), load_shed::Config::default());
    assert_eq!(from_value::<QueueDelay>(json!({})).unwrap(), QueueDelay::default());

    let wrong = |text| from_value::<load_shed::Config>(text).unwrap_err().to_string();
    let told = wrong(json!({ "queue_delay": { "goal": "5ms" } }));
    assert!(told.starts_with("load_shed.queue_delay") && told.contains("`goal`"), "{told}");
    let file = from_value(json!({ "queue_delay": { "target": "100ms" } })).unwrap();
    let error = LoadShedLayer::from_config(file).unwrap_err();
    assert_eq!(error.setting(), "load_shed.queue_delay.interval");
}

#[test]
fn a_hedge_is_read_with_its_delay_and_its_budget() {
    let mut expected = hedge::Config::default();
    expected.delay = Delay::Fixed(20 * MS);
    expected.window = 300_000 * MS;
    expected.budget = BudgetConfig::InFlight { ratio: 0.1, at_least: 2 };
    expected.name = Some("db".into());
    let text = json!({
        "delay": { "fixed": "20ms" }, "window": "5m", "name": "db",
        "budget": { "in_flight": { "ratio": 0.1, "at_least": 2 } },
    });
    assert_eq!(from_value::<hedge::Config>(text.clone()).unwrap(), expected);
    assert_eq!(to_value(&expected).unwrap(), text);
    assert_eq!(from_value::<hedge::Config>(json!({})).unwrap(), hedge::Config::default());
    let delay: Delay = from_value(json!({ "percentile": 0.9 })).unwrap();
    assert_eq!(delay, Delay::Percentile(0.9));

    let wrong = |text| from_value::<hedge::Config>(text).unwrap_err().to_string();
    let told = wrong(json!({ "delay": { "fixed": 20 } }));
    assert!(told.starts_with("hedge.delay: "), "{told}");
    let told = wrong(json!({ "after": "20ms" }));
    assert!(told.starts_with("hedge") && told.contains("`after`"), "{told}");
    let file = from_value(json!({ "delay": { "percentile": 95.0 } })).unwrap();
    let error = hedge::HedgeLayer::from_config(Idempotent, file).unwrap_err();
    assert_eq!(error.setting(), "hedge.delay");
}

#[test]
fn a_throttle_is_read_with_its_window() {
    let mut expected = ThrottleConfig::default();
    expected.multiplier = 1.5;
    expected.window = 30_000 * MS;
    expected.floor = 0.5;
    expected.shadow = true;
    expected.name = Some("search".into());
    let text = json!({
        "multiplier": 1.5, "window": "30s", "floor": 0.5, "shadow": true, "name": "search",
    });
    assert_eq!(from_value::<ThrottleConfig>(text.clone()).unwrap(), expected);
    assert_eq!(to_value(&expected).unwrap(), text);
    assert_eq!(from_value::<ThrottleConfig>(json!({})).unwrap(), ThrottleConfig::default());

    let told = from_value::<ThrottleConfig>(json!({ "window": 30 })).unwrap_err().to_string();
    assert!(told.starts_with("throttle.window: "), "{told}");
    let told = from_value::<ThrottleConfig>(json!({ "k": 2.0 })).unwrap_err().to_string();
    assert!(told.starts_with("throttle") && told.contains("`k`"), "{told}");
    let file = from_value(json!({ "multiplier": 0.9 })).unwrap();
    let error = ThrottleLayer::from_config(file).unwrap_err();
    assert_eq!(error.to_string(), "throttle.multiplier is 0.9, allowed is 1 or more");
}

/// Every field differs from its default, so that one that is not read shows.
fn breaker() -> (Value, circuit_breaker::Config) {
    let mut config = circuit_breaker::Config::default();
    config.failure_rate = Some(0.25);
    config.consecutive_failures = Some(7);
    config.slow_calls = Some(SlowCalls::new(2000 * MS, 0.75));
    config.window = Window::count(100);
    config.minimum_calls = 30;
    config.open_for = 250 * MS;
    config.open_for_at_most = Some(60_000 * MS);
    config.probes = 5;
    config.close_after = 4;
    config.half_open_for = Some(3000 * MS);
    config.ramp = Some(90_000 * MS);
    config.gate = true;
    config.shadow = true;
    config.name = Some("db".into());
    let text = json!({
        "failure_rate": 0.25, "consecutive_failures": 7,
        "slow_calls": { "longer_than": "2s", "rate": 0.75 },
        "window": { "count": 100 }, "minimum_calls": 30, "open_for": "250ms",
        "open_for_at_most": "1m", "probes": 5, "close_after": 4, "half_open_for": "3s",
        "ramp": "1m 30s", "gate": true, "shadow": true, "name": "db",
    });
    (text, config)
}

#[test]
fn every_setting_of_a_breaker_is_read_under_its_name() {
    let (text, config) = breaker();
    assert_eq!(from_value::<circuit_breaker::Config>(text.clone()).unwrap(), config);
    assert_eq!(to_value(&config).unwrap(), text);
    let window: Window = from_value(json!({ "time": "10s" })).unwrap();
    assert_eq!(window, Window::time(10_000 * MS));
}

#[test]
fn every_setting_of_deadlines_and_bodies_is_read_under_its_name() {
    let mut expected = DeadlineConfig::default();
    expected.header = "x-left".into();
    expected.at_most = Some(1500 * MS);
    expected.shadow = true;
    expected.name = Some("edge".into());
    let text = json!({ "header": "x-left", "at_most": "1s 500ms", "shadow": true, "name": "edge" });
    assert_eq!(from_value::<DeadlineConfig>(text.clone()).unwrap(), expected);
    assert_eq!(to_value(&expected).unwrap(), text);

    let mut expected = PropagateDeadlineConfig::default();
    expected.header = "x-left".into();
    expected.format = HeaderFormat::Millis;
    expected.margin = 20 * MS;
    expected.shadow = true;
    expected.name = Some("edge".into());
    let text = json!({
        "header": "x-left", "format": "millis", "margin": "20ms", "shadow": true, "name": "edge",
    });
    assert_eq!(from_value::<PropagateDeadlineConfig>(text.clone()).unwrap(), expected);
    assert_eq!(to_value(&expected).unwrap(), text);

    let mut expected = BodyTimeoutConfig::default();
    expected.idle = Some(20 * MS);
    expected.total = Some(1500 * MS);
    expected.shadow = true;
    expected.name = Some("edge".into());
    let text = json!({ "idle": "20ms", "total": "1s 500ms", "shadow": true, "name": "edge" });
    assert_eq!(from_value::<BodyTimeoutConfig>(text.clone()).unwrap(), expected);
    assert_eq!(to_value(&expected).unwrap(), text);

    let none = || json!({});
    assert_eq!(from_value::<DeadlineConfig>(none()).unwrap(), DeadlineConfig::default());
    let config = from_value::<PropagateDeadlineConfig>(none()).unwrap();
    assert_eq!(config, PropagateDeadlineConfig::default());
    assert_eq!(from_value::<BodyTimeoutConfig>(none()).unwrap(), BodyTimeoutConfig::default());
    let text = refused::<DeadlineConfig>(&json!({ "atmost": "1s" }));
    assert!(text.starts_with("deadline: unknown field `atmost`"), "{text}");
    let text = refused::<PropagateDeadlineConfig>(&json!({ "margin": 5 }));
    assert!(text.starts_with("propagate_deadline.margin: invalid type"), "{text}");
    let text = refused::<BodyTimeoutConfig>(&json!({ "idle": 5 }));
    assert!(text.starts_with("body_timeout.idle: invalid type"), "{text}");
}

#[test]
fn what_is_missing_takes_its_default_and_the_essential_must_be_there() {
    let of = |text| from_value::<circuit_breaker::Config>(text).unwrap();
    assert_eq!(of(json!({})), circuit_breaker::Config::default());
    let limit: timeout::Config = from_value(json!({ "limit": "5s" })).unwrap();
    assert_eq!(limit, timeout::Config::new(5000 * MS));
    let size: bulkhead::Config = from_value(json!({ "max_concurrent": 3 })).unwrap();
    assert_eq!(size, bulkhead::Config::new(3));

    let error = from_value::<timeout::Config>(json!({})).unwrap_err().to_string();
    assert_eq!(error, "missing field `limit`");
    let error = from_value::<bulkhead::Config>(json!({ "queue": 3 })).unwrap_err().to_string();
    assert_eq!(error, "missing field `max_concurrent`");
}

#[test]
fn written_and_read_again_it_is_the_same() {
    let configs = [bulkhead::Config::new(0), bulkhead::Config::new(9)];
    for config in configs {
        let text = to_value(&config).unwrap();
        assert_eq!(from_value::<bulkhead::Config>(text).unwrap(), config);
    }
    for duration in [MS, 90_061_001 * MS, Duration::from_nanos(1), Duration::new(86_400, 7)] {
        let config = timeout::Config::new(duration);
        let text = to_value(&config).unwrap();
        assert_eq!(from_value::<timeout::Config>(text.clone()).unwrap(), config, "{text}");
    }
}

#[track_caller]
fn refused<T: serde::de::DeserializeOwned>(text: &Value) -> String {
    match from_value::<T>(text.clone()) {
        Ok(_) => panic!("{text} was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_mistake_is_named_with_its_field_its_value_and_what_is_allowed() {
    use bulkhead::Config as Bulkhead;
    use circuit_breaker::Config as Breaker;
    use timeout::Config as Timeout;

    let duration = r#"expected a duration with its unit, such as "250ms", "5s" or "1h 30m""#;
    assert_eq!(
        refused::<Timeout>(&json!({ "limit": "soon" })),
        format!(r#"timeout.limit: invalid value: string "soon", {duration}"#),
    );
    assert_eq!(
        refused::<Timeout>(&json!({ "limit": 250 })),
        format!("timeout.limit: invalid type: integer `250`, {duration}"),
    );
    assert_eq!(
        refused::<Breaker>(&json!({ "half_open_for": 3 })),
        format!("circuit_breaker.half_open_for: invalid type: integer `3`, {duration}"),
    );
    assert_eq!(
        refused::<Timeout>(&json!({ "limit": "1s", "limt": "1s" })),
        "timeout: unknown field `limt`, expected one of `limit`, `also_readiness`, `shadow`, `name`",
    );
    assert_eq!(
        refused::<Bulkhead>(&json!({ "max_concurrent": -1 })),
        "bulkhead.max_concurrent: invalid value: integer `-1`, expected usize",
    );
    assert_eq!(
        refused::<Bulkhead>(&json!({ "max_concurrent": 1, "order": "random" })),
        "bulkhead.order: unknown variant `random`, expected one of `fifo`, `lifo`, `adaptive`",
    );
    assert_eq!(
        refused::<Breaker>(&json!({ "window": { "calls": 5 } })),
        "circuit_breaker.window: unknown variant `calls`, expected `count` or `time`",
    );
    assert_eq!(
        refused::<Breaker>(&json!({ "slow_calls": { "longer_than": "1s", "rate": "half" } })),
        r#"circuit_breaker.slow_calls: rate: invalid type: string "half", expected f64"#,
    );
    assert_eq!(
        refused::<Breaker>(&json!({ "slow_calls": { "longer_than": "1s", "share": 0.5 } })),
        "circuit_breaker.slow_calls: unknown field `share`, expected `longer_than` or `rate`",
    );
}

/// A text has a place as well.
#[test]
fn a_mistake_in_a_text_is_named_with_its_line() {
    let error = serde_json::from_str::<timeout::Config>("{\n  \"limit\": true\n}").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("timeout.limit: invalid type: boolean `true`, expected a"), "{text}");
    assert!(text.contains("at line 2 column "), "{text}");
    assert_eq!(text.matches("at line").count(), 1, "{text}");
}

/// What has the right form and makes no sense is refused where the layer is built.
#[test]
fn nonsense_is_named_when_the_layer_is_built() {
    let config = from_value(json!({ "limit": "0s" })).unwrap();
    let error = TimeoutLayer::from_config(config).unwrap_err();
    assert_eq!(error.to_string(), "timeout.limit is 0ns, allowed is longer than 0");
    let config = from_value(json!({ "max_concurrent": 1, "max_wait": "0s" })).unwrap();
    let error = BulkheadLayer::from_config(config).unwrap_err();
    assert_eq!(error.to_string(), "bulkhead.max_wait is 0ns, allowed is longer than 0");
    let config = from_value(json!({ "failure_rate": 1.5 })).unwrap();
    let error = CircuitBreakerLayer::from_config(config).unwrap_err();
    let text = "circuit_breaker.failure_rate is 1.5, allowed is more than 0 and at most 1";
    assert_eq!(error.to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_outlives_the_process_that_took_it() {
    let old = CircuitBreakerLayer::new().handle();
    old.force_open("moving the database");
    tokio::time::advance(1500 * MS).await;
    let stored = to_value(old.snapshot()).unwrap();
    assert_eq!(stored["phase"], "forced_open");
    assert_eq!(stored["since"], "1s 500ms");

    let new = CircuitBreakerLayer::new().handle();
    new.hydrate(&from_value(stored).unwrap());
    assert_eq!(new.phase(), Phase::ForcedOpen);
    assert_eq!(new.snapshot(), old.snapshot());
}

#[test]
fn a_snapshot_of_another_version_is_read_as_far_as_it_goes() {
    let text = json!({
        "phase": "open", "until": "2s", "mood": "grim",
        "last_failure": { "overload": { "retry_after": "3s" } },
    });
    let snapshot: Snapshot = from_value(text).unwrap();
    assert_eq!((snapshot.phase, snapshot.until), (Phase::Open, Some(2000 * MS)));
    let overload = buttress::Class::Overload { retry_after: Some(3000 * MS) };
    assert_eq!(snapshot.last_failure, Some(overload));
    let text = refused::<Snapshot>(&json!({ "phase": "ajar" }));
    assert!(text.starts_with("snapshot.phase: unknown variant `ajar`, expected one of"), "{text}");
}
