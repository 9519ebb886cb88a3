//! The dashboard and the alert rules ask for what the crate really emits, and for all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use buttress::BoxError;
use buttress::adaptive_limit::AdaptiveLimitLayer;
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::hedge::{Delay, HedgeLayer};
use buttress::idempotency::{Disposition, IdempotencyLayer, MemoryStore};
use buttress::load_shed::LoadShedLayer;
use buttress::observe::{MetricsObserver, ObserveLayer};
use buttress::retry::{Budget, Idempotent, RetryLayer};
use buttress::timeout::{DeadlineLayer, TimeoutLayer};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Ask, Parcel};

const MS: Duration = Duration::from_millis(1);

/// The labels of each metric, and the values that each label was seen with.
type Catalogue = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What a scrape shows after every kind of event has happened once.
async fn emitted() -> Catalogue {
    let buckets = PrometheusBuilder::new().set_buckets(&[0.01, 1.0]).unwrap();
    let recorder = buckets.build_recorder();
    let guard = metrics::set_default_local_recorder(&recorder);
    everything_happens().await;
    drop(guard);
    let text = recorder.handle().render();
    let mut catalogue = Catalogue::new();
    for series in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (metric, rest) = series.split_once('{').unwrap();
        let labels = catalogue.entry(metric.to_owned()).or_default();
        for label in rest.split_once('}').unwrap().0.split(',') {
            let (key, value) = label.split_once('=').unwrap();
            labels.entry(key.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
        }
    }
    catalogue
}

async fn everything_happens() {
    let metrics = MetricsObserver::new();
    let slow = service_fn(async |wait: u32| {
        tokio::time::sleep(wait * MS).await;
        if wait > 20 { Err(BoxError::from("slow")) } else { Ok(()) }
    });

    let bulkhead = BulkheadLayer::builder(1).queue(1).max_wait(50 * MS);
    let bulkhead = bulkhead.observe(metrics.clone()).build();
    let limited = bulkhead.layer(slow);
    let calls = [10, 10, 10].map(|wait| limited.clone().oneshot(wait));
    futures::future::join_all(calls).await;
    let mut dropped = Box::pin(limited.oneshot(10));
    assert!(futures::poll!(&mut dropped).is_pending());
    drop(dropped);
    bulkhead.handle().resize(2);

    let shadow = BulkheadLayer::builder(0).shadow().observe(metrics.clone()).build();
    shadow.layer(slow).oneshot(1).await.unwrap();

    let limit = AdaptiveLimitLayer::builder().max(1).observe(metrics.clone()).build();
    let calls = [10, 10].map(|wait| limit.layer(slow).oneshot(wait));
    futures::future::join_all(calls).await;
    let shed = LoadShedLayer::builder().signal(|| 1.0).observe(metrics.clone()).build();
    shed.layer(slow).oneshot(1).await.unwrap_err();

    let breaker = CircuitBreakerLayer::builder().consecutive_failures(1).observe(metrics.clone());
    let broken = breaker.build().layer(slow);
    let calls = [30, 40].map(|wait| broken.clone().oneshot(wait));
    futures::future::join_all(calls).await;
    broken.oneshot(1).await.unwrap_err();

    let timeout = TimeoutLayer::builder(10 * MS).observe(metrics.clone()).build();
    timeout.layer(slow).oneshot(20).await.unwrap_err();
    timeout.layer(slow).oneshot(1).await.unwrap();

    let budget = Budget::in_flight(0.2).at_least(1);
    let retry = RetryLayer::builder(Idempotent).max_attempts(2).budget(budget);
    let retry = retry.observe(metrics.clone()).build();
    let calls = [30, 30].map(|wait| retry.layer(slow).oneshot(wait));
    futures::future::join_all(calls).await;

    let hedge = HedgeLayer::builder(Idempotent).delay(Delay::Fixed(5 * MS));
    hedge.observe(metrics.clone()).build().layer(slow).oneshot(10).await.unwrap();

    keys_are_used(&metrics).await;

    let nonsense = Parcel::new(Ask::Answer(1)).and("grpc-timeout", "soon");
    let deadline = DeadlineLayer::builder().observe(metrics.clone()).build();
    deadline.layer(service_fn(async |_| Ok::<_, BoxError>(()))).oneshot(nonsense).await.unwrap();
    ObserveLayer::new(metrics).layer(slow).oneshot(1).await.unwrap();
}

/// One request is answered for good, of one nobody knows what it did, and for one there is no room.
async fn keys_are_used(metrics: &MetricsObserver) {
    let records = MemoryStore::builder().max_entries(2).build();
    let once = IdempotencyLayer::builder(records).unscoped().observe(metrics.clone()).build();
    for (key, what) in
        [("1", Disposition::Store), ("2", Disposition::Indeterminate), ("3", Disposition::Store)]
    {
        let shop = service_fn(move |_| {
            let answer = http::Response::builder().extension(what).body(axum::body::Body::empty());
            std::future::ready(answer.map_err(BoxError::from))
        });
        let request = http::Request::post("/").header("idempotency-key", key);
        once.layer(shop).oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    }
}

/// The names of metrics in an expression, each with its matchers: `buttress_x{a="b"}` and
/// `{__name__=~"buttress_x|buttress_y",a="b"}`.
fn selectors(expression: &str) -> Vec<(String, String)> {
    let name = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = Vec::new();
    for (at, _) in expression.match_indices("buttress_") {
        let metric = name(&expression[at..]);
        let after = &expression[at + metric.len()..];
        let matchers = match after.strip_prefix('{') {
            Some(rest) => rest.split_once('}').unwrap().0,
            None if after.starts_with(['"', '|']) => {
                after.split_once('}').unwrap().0.split_once(',').map_or("", |(_, rest)| rest)
            }
            None => "",
        };
        found.push((metric, matchers.to_owned()));
    }
    found
}

/// What an expression asks for and nothing emits.
fn unknown(expression: &str, catalogue: &Catalogue) -> Vec<String> {
    let mut unknown = Vec::new();
    for (metric, matchers) in selectors(expression) {
        let Some(labels) = catalogue.get(&metric) else {
            unknown.push(metric);
            continue;
        };
        for matcher in matchers.split(',').filter(|matcher| !matcher.is_empty()) {
            let (key, value) = matcher.split_once('=').unwrap();
            let values = value.trim_start_matches('~').trim_matches('"');
            match labels.get(key) {
                None => unknown.push(format!("{metric}{{{key}}}")),
                Some(_) if values.starts_with('$') => {}
                Some(seen) => unknown.extend(
                    values.split('|').filter(|v| !seen.contains(*v)).map(|v| format!("{key}={v}")),
                ),
            }
        }
        for keys in expression.split("by (").skip(1) {
            let keys = keys.split_once(')').unwrap().0.split(", ");
            unknown.extend(keys.filter(|key| !labels.contains_key(*key)).map(str::to_owned));
        }
    }
    unknown
}

fn of_dashboard() -> Vec<String> {
    let text = include_str!("../../examples/observability/dashboard.json");
    let dashboard: Value = serde_json::from_str(text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut found: Vec<_> =
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        dashboard["templating"]["list"][1]["definition"],
        "label_values(buttress_in_flight, name)"
    );
    found.push("buttress_in_flight".to_owned());
    found
}

fn of_alerts() -> Vec<String> {
    let text = include_str!("../../examples/observability/alerts.yml");
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let found: Vec<_> = lines.map(str::to_owned).collect();
    assert_eq!(found.len(), text.matches("- alert: ").count());
    found
}

/// The code spans of the table of queries.
fn of_manual() -> Vec<String> {
    let text = include_str!("../../src/guide/operations.md").replace("\\|", "|");
    let spans = text.split('`').skip(1).step_by(2).filter(|span| span.contains("buttress_"));
    // The names of the layers there are the reader's own.
    spans.filter(|span| !span.contains("transport")).map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_that_is_not_emitted() {
    let catalogue = emitted().await;
    for expression in of_dashboard().into_iter().chain(of_alerts()).chain(of_manual()) {
        let unknown = unknown(&expression, &catalogue);
        assert!(unknown.is_empty(), "{expression}\nasks for {unknown:?}, of\n{catalogue:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_emitted_is_on_the_dashboard() {
    let shown: BTreeSet<_> =
        of_dashboard().iter().flat_map(|e| selectors(e)).map(|(metric, _)| base(&metric)).collect();
    let emitted: BTreeSet<_> = emitted().await.keys().map(|metric| base(metric)).collect();
    assert_eq!(shown, emitted);
    assert_eq!(emitted.len(), 17, "{emitted:#?}");
}

/// The metric that a series of a histogram belongs to.
fn base(series: &str) -> String {
    ["_bucket", "_sum", "_count"]
        .iter()
        .fold(series, |name, end| name.strip_suffix(end).unwrap_or(name))
        .to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_slip_of_the_pen_is_found() {
    let catalogue = emitted().await;
    for (expression, slip) in [
        ("rate(buttress_call_total[5m])", "buttress_call_total"),
        (r#"buttress_calls_total{reason="x"}"#, "buttress_calls_total{reason}"),
        (r#"buttress_breaker_state{state="ajar"} == 1"#, "state=ajar"),
        (r#"buttress_breaker_state{state=~"open|ajar"} == 1"#, "state=ajar"),
        ("sum by (layer, kind) (buttress_queued)", "kind"),
        (r#"rate({__name__=~"buttress_calls_total|buttress_x"}[5m])"#, "buttress_x"),
    ] {
        assert_eq!(unknown(expression, &catalogue), [slip], "{expression}");
    }
}
