//! What a bulkhead tells, what its shadow does, and what it will not be built with.

use std::time::Duration;

use buttress::bulkhead::{BulkheadLayer, Config, QueueOrder};
use buttress::observe::EventKind::{
    Abandoned, Admitted, LimitChanged, Queued, Rejected, WouldReject,
};
use buttress::{Class, ConfigError, Reason};
use tokio::time::advance;
use tower::Layer;

use super::MS;
use crate::support::{Ask, Ledger, Mock, admitted, call, panics, poll_once, refusal, settled};

#[tokio::test(start_paused = true)]
async fn events_report_in_flight_queued_and_waited() {
    let ledger = Ledger::default();
    let layer = BulkheadLayer::builder(1).queue(2).observe(ledger.clone()).build();
    let mut service = layer.layer(Mock::new());
    let gauges = || {
        let books = ledger.of("bulkhead");
        let handle = layer.handle();
        let counted = |gauge: i64| usize::try_from(gauge).unwrap();
        let shown = (handle.in_flight(), handle.queued());
        assert_eq!(shown, (counted(books.in_flight), counted(books.queued)));
        shown
    };
    let first = call(&mut service, Ask::Hold);
    let mut second = call(&mut service, Ask::Answer(1));
    assert!(poll_once(&mut second).is_pending());
    let third = call(&mut service, Ask::Answer(1));
    assert_eq!(gauges(), (1, 2));
    refusal(call(&mut service, Ask::Answer(1)).await);
    drop(third);
    assert_eq!(gauges(), (1, 1));
    advance(7 * MS).await;
    drop(first);
    second.await.unwrap();
    assert_eq!(gauges(), (0, 0));
    let events = [
        admitted(),
        Queued,
        Queued,
        Rejected(Reason::BulkheadFull),
        Abandoned,
        Abandoned,
        Admitted { waited: 7 * MS },
        settled(Class::Success),
    ];
    assert_eq!(ledger.take("bulkhead"), events);
}

#[tokio::test(start_paused = true)]
async fn a_settled_call_reports_its_class_and_its_latency() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = seen.clone();
    let layer = BulkheadLayer::builder(1)
        .name("db")
        .observe(move |event: &buttress::observe::Event<'_>| {
            assert_eq!((event.layer, event.name), ("bulkhead", "db"));
            log.lock().unwrap().push(event.kind);
        })
        .build();
    let mut service = layer.layer(Mock::new());
    drop(call(&mut service, Ask::FailAfter(30 * MS, 1)).await);
    drop(call(&mut service, Ask::Refuse(Reason::CircuitOpen)).await);
    let settled = |class, latency| buttress::observe::EventKind::Settled { class, latency };
    let seen = seen.lock().unwrap();
    assert_eq!(seen[1], settled(Class::Transient, 30 * MS));
    assert_eq!(seen[3], settled(Class::Ignore, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_shadow_counts_and_reports_but_never_refuses_or_makes_wait() {
    let ledger = Ledger::default();
    let kind = |_: &Ask| 0;
    let refusing = BulkheadLayer::builder(1).shadow().observe(ledger.clone()).build();
    let queueing = BulkheadLayer::builder(1).queue(1).shadow().observe(ledger.clone()).build();
    let parted = BulkheadLayer::builder(1)
        .partition(kind, [(0, 1.0)])
        .shadow()
        .observe(ledger.clone())
        .build();
    macro_rules! sees_past {
        ($layer:expr) => {
            let mut service = $layer.layer(Mock::new());
            let held = [Ask::Hold, Ask::Hold, Ask::Hold].map(|ask| call(&mut service, ask));
            assert_eq!(($layer.handle().in_flight(), $layer.handle().queued()), (3, 0));
            assert_eq!(call(&mut service, Ask::Answer(7)).await, Ok(7));
            drop(held);
            assert_eq!($layer.handle().in_flight(), 0);
            let would = WouldReject(Reason::BulkheadFull);
            let told = ledger.take("bulkhead");
            assert_eq!(told[..5], [admitted(), would, admitted(), would, admitted()]);
            assert_eq!(told.iter().filter(|kind| **kind == would).count(), 3);
            assert_eq!(call(&mut service, Ask::Answer(7)).await, Ok(7));
            assert_eq!(ledger.take("bulkhead"), [admitted(), settled(Class::Success)]);
        };
    }
    sees_past!(refusing);
    sees_past!(queueing);
    sees_past!(parted);
    ledger.assert_settled();
}

#[test]
fn a_changed_limit_is_reported_and_an_unchanged_one_is_not() {
    let ledger = Ledger::default();
    let layer = BulkheadLayer::builder(4).observe(ledger.clone()).build();
    ledger.take("bulkhead");
    for limit in [4, 9, 9, 0] {
        layer.handle().resize(limit);
        assert_eq!(layer.handle().limit(), limit);
    }
    let changed = [LimitChanged { from: 4, to: 9 }, LimitChanged { from: 9, to: 0 }];
    assert_eq!(ledger.take("bulkhead"), changed);
}

#[test]
fn nonsense_is_refused_by_try_build_and_build_panics_with_the_same_text() {
    let share = |share: f64| BulkheadLayer::builder(9).partition(|_: &Ask| 0, [(0, share)]);
    let shares = "shares from 0 to 1 that add up to at most 1";
    let tried: [(Result<(), ConfigError>, String); 5] = [
        (
            BulkheadLayer::builder(9).queue(1).max_wait(Duration::ZERO).try_build().map(drop),
            "bulkhead.max_wait is 0ns, allowed is longer than 0".into(),
        ),
        (
            BulkheadLayer::builder(9).queue((1 << 24) + 1).try_build().map(drop),
            "bulkhead.queue is 16777217, allowed is at most 16,777,216".into(),
        ),
        (
            share(1.5).try_build().map(drop),
            format!("bulkhead.partition is [1.5, 0.0], allowed is {shares}"),
        ),
        (
            share(-0.5).try_build().map(drop),
            format!("bulkhead.partition is [-0.5, 1.5], allowed is {shares}"),
        ),
        (
            share(f64::NAN).try_build().map(drop),
            format!("bulkhead.partition is [NaN, 0.0], allowed is {shares}"),
        ),
    ];
    for (result, text) in tried {
        assert_eq!(result.unwrap_err().to_string(), text);
    }
    let two = BulkheadLayer::builder(9).partition(|_: &Ask| 0, [(0, 0.6), (1, 0.6)]);
    assert_eq!(two.try_build().unwrap_err().setting(), "bulkhead.partition");

    let text = panics(|| BulkheadLayer::builder(9).queue(1).max_wait(Duration::ZERO).build());
    assert_eq!(text, "bulkhead.max_wait is 0ns, allowed is longer than 0");
    let text = panics(|| share(1.5).build());
    assert_eq!(text, format!("bulkhead.partition is [1.5, 0.0], allowed is {shares}"));
}

#[tokio::test(start_paused = true)]
async fn a_config_builds_the_same_bulkhead() {
    let mut config = Config::new(1);
    (config.queue, config.max_wait) = (1, Some(5 * MS));
    (config.order, config.name) = (QueueOrder::Lifo, Some("db".into()));
    let mut service = BulkheadLayer::from_config(config.clone()).unwrap().layer(Mock::new());
    let _held = call(&mut service, Ask::Hold);
    let refused = refusal(call(&mut service, Ask::Answer(1)).await);
    assert_eq!((refused.reason(), refused.name()), (Reason::QueueTimedOut, Some("db")));
    config.max_wait = Some(Duration::ZERO);
    assert_eq!(BulkheadLayer::from_config(config).unwrap_err().setting(), "bulkhead.max_wait");
    let mut shadow = Config::new(0);
    shadow.shadow = true;
    let mut service = BulkheadLayer::from_config(shadow).unwrap().layer(Mock::new());
    assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn without_a_name_it_is_called_by_its_kind() {
    let refused = refusal(call(&mut BulkheadLayer::new(0).layer(Mock::new()), Ask::Hold).await);
    assert_eq!(refused.name(), Some("bulkhead"));
    assert_eq!(refused.to_string(), "bulkhead full (bulkhead)");
}
