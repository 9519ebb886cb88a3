//! What load shedding tells, what its shadow does, and what it will not be built with.

use std::time::Duration;

use buttress::load_shed::{Config, LoadShedLayer, QueueDelay};
use buttress::observe::EventKind::{Abandoned, Admitted, Queued, Rejected, WouldReject};
use buttress::{Class, Reason};
use tokio::time::advance;
use tower::Layer;

use super::MS;
use crate::support::{
    Ask, Hand, Ledger, Mock, admitted, call, panics, poll_once, refusal, settled,
};

const REFUSED: buttress::observe::EventKind = Rejected(Reason::Overloaded);

#[tokio::test(start_paused = true)]
async fn a_plain_layer_tells_of_calls_and_refusals() {
    let (ledger, mock) = (Ledger::default(), Mock::new());
    let watch = mock.watch();
    let mut service = LoadShedLayer::builder().observe(ledger.clone()).build().layer(mock);
    call(&mut service, Ask::Answer(1)).await.unwrap();
    call(&mut service, Ask::Fail(1)).await.unwrap_err();
    drop(call(&mut service, Ask::Hold));
    watch.stall();
    refusal(call(&mut service, Ask::Answer(1)).await);
    let expected = [
        admitted(),
        settled(Class::Success),
        admitted(),
        settled(Class::Transient),
        admitted(),
        Abandoned,
        REFUSED,
    ];
    assert_eq!(ledger.take("load_shed"), expected);
}

#[tokio::test(start_paused = true)]
async fn a_queue_tells_who_waits_and_for_how_long() {
    let (ledger, mock) = (Ledger::default(), Mock::new());
    let watch = mock.watch();
    let layer = LoadShedLayer::builder().queue(3).observe(ledger.clone()).build();
    let service = layer.layer(mock);
    watch.stall();
    let mut calls: Vec<_> = (0..3).map(|n| call(&mut service.clone(), Ask::Answer(n))).collect();
    assert!(calls.iter_mut().all(|call| poll_once(call).is_pending()));
    refusal(call(&mut service.clone(), Ask::Answer(9)).await);
    assert_eq!((ledger.of("load_shed").queued, layer.handle().queued()), (3, 3));
    drop(calls.pop());
    advance(7 * MS).await;
    assert_eq!(layer.handle().queue_delay(), 7 * MS);
    watch.unstall();
    calls.remove(0).await.unwrap();
    watch.fail_readiness(3);
    calls.remove(0).await.unwrap_err();
    let waited = Admitted { waited: 7 * MS };
    let events = [Queued, Queued, Queued, REFUSED, Abandoned, waited, settled(Class::Success)];
    let (last, failed) = (ledger.take("load_shed"), [waited, settled(Class::Transient)]);
    assert_eq!(last, [&events[..], &failed[..]].concat());
    assert_eq!((layer.handle().queued(), layer.handle().queue_delay()), (0, Duration::ZERO));
    ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn a_shadow_waits_as_a_call_without_the_layer_would_and_tells_what_it_would_have_done() {
    let ledger = Ledger::default();
    let plain = || LoadShedLayer::builder().shadow().observe(ledger.clone());
    let would = WouldReject(Reason::Overloaded);
    let told = [would, admitted(), settled(Class::Success)];
    let untold = [admitted(), settled(Class::Success)];

    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = plain().build().layer(mock);
    watch.stall();
    assert!(Hand::new().poll_ready(&mut service).is_pending());
    watch.unstall();
    call(&mut service, Ask::Answer(1)).await.unwrap();
    assert_eq!((ledger.take("load_shed"), watch.instances()), (told.to_vec(), 1));
    call(&mut service, Ask::Answer(1)).await.unwrap();
    assert_eq!(ledger.take("load_shed"), untold);

    let mut signalled = plain().signal(|| 1.0).build().layer(Mock::new());
    call(&mut signalled, Ask::Answer(1)).await.unwrap();
    assert_eq!(ledger.take("load_shed"), told);

    let queue = plain().queue_delay(5 * MS, 50 * MS).build();
    let driven = plain().fail_fast(50 * MS).build();
    let exempt = plain().fail_fast(50 * MS).exempt(|_: &Ask| true).build();
    for (waited, events) in [(49, &untold[..]), (50, &told[..])] {
        let mock = Mock::new();
        let watch = mock.watch();
        let (mut one, mut other) = (queue.layer(mock.clone()), driven.layer(mock.clone()));
        let mut third = exempt.layer(mock);
        watch.stall();
        assert!(Hand::new().poll_ready(&mut one).is_pending());
        assert!(Hand::new().poll_ready(&mut other).is_pending());
        assert!(Hand::new().poll_ready(&mut third).is_pending());
        advance(waited * MS).await;
        watch.unstall();
        call(&mut one, Ask::Answer(1)).await.unwrap();
        assert_eq!(ledger.take("load_shed"), events, "queue, {waited} ms");
        call(&mut other, Ask::Answer(1)).await.unwrap();
        assert_eq!(ledger.take("load_shed"), events, "fail-fast, {waited} ms");
        call(&mut third, Ask::Answer(1)).await.unwrap();
        assert_eq!(ledger.take("load_shed"), untold, "exempt");
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_from_a_configuration_does_what_one_from_a_builder_does() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut config = Config::default();
    config.name = Some("front".into());
    let plain = LoadShedLayer::from_config(config.clone()).unwrap();
    watch.stall();
    let rejected = refusal(call(&mut plain.layer(mock.clone()), Ask::Answer(1)).await);
    assert_eq!(rejected.name(), Some("front"));
    config.fail_fast = Some(20 * MS);
    let layer = LoadShedLayer::from_config(config).unwrap();
    let start = tokio::time::Instant::now();
    refusal(call(&mut layer.layer(mock), Ask::Answer(1)).await);
    assert_eq!(start.elapsed(), 20 * MS);
}

#[test]
fn nonsense_is_refused_by_try_build_and_build_panics_with_the_same_text() {
    let builder = LoadShedLayer::builder;
    let cases = [
        (builder().queue_delay(Duration::ZERO, MS).try_build().map(drop), "queue_delay.target"),
        (builder().queue_delay(MS, MS).try_build().map(drop), "queue_delay.interval"),
        (builder().fail_fast(Duration::ZERO).try_build().map(drop), "fail_fast"),
        (builder().queue((1 << 24) + 1).try_build().map(drop), "queue"),
    ];
    for (result, setting) in cases {
        assert_eq!(result.unwrap_err().setting(), format!("load_shed.{setting}"));
    }
    let text = panics(|| builder().fail_fast(Duration::ZERO).build());
    assert_eq!(text, "load_shed.fail_fast is 0ns, allowed is longer than 0");
    let mut config = Config::default();
    config.queue_delay = Some(QueueDelay { target: 2 * MS, interval: MS });
    assert!(LoadShedLayer::from_config(config).is_err());
}

#[test]
fn everything_public_can_be_printed() {
    let layer = LoadShedLayer::builder().queue(3).signal(|| 0.5).name("front").build();
    let text = format!("{layer:?} {:?} {:?}", layer.handle(), layer.layer(Mock::new()));
    assert!(text.contains("front") && text.contains("excess: 0.5"), "{text}");
}
