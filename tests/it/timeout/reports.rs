//! What a timeout tells, what its shadow does, and what it will not be built with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::observe::EventKind::{Rejected, WouldReject};
use buttress::observe::{Event, EventKind};
use buttress::timeout::{Config, Deadline, TimeoutLayer};
use buttress::{Class, Reason};
use tokio::time::advance;
use tower::{Layer, ServiceExt};

use super::MS;
use crate::support::{Ask, Hand, Ledger, Mock, admitted, call, panics, ready, refusal, settled};

#[tokio::test(start_paused = true)]
async fn a_settled_call_reports_its_class_and_its_latency() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let layer = TimeoutLayer::builder(50 * MS)
        .name("db")
        .observe(move |event: &Event<'_>| {
            assert_eq!((event.layer, event.name), ("timeout", "db"));
            log.lock().unwrap().push(event.kind);
        })
        .build();
    let mut service = layer.layer(Mock::new());
    drop(call(&mut service, Ask::FailAfter(30 * MS, 1)).await);
    drop(call(&mut service, Ask::Refuse(Reason::CircuitOpen)).await);
    let settled = |class, latency| EventKind::Settled { class, latency };
    let seen = seen.lock().unwrap();
    assert_eq!(seen[1], settled(Class::Transient, 30 * MS));
    assert_eq!(seen[3], settled(Class::Ignore, Duration::ZERO));
}

/// A layer in shadow mode and its books, over requests with this long until their deadline.
macro_rules! shadow {
    ($left:expr, $($setting:ident)?) => {{
        let (ledger, deadline) = (Ledger::default(), Deadline::after($left));
        let layer = TimeoutLayer::builder(5 * MS)
            .deadline(move |_: &Ask| Some(deadline))
            .shadow()
            $(.$setting())?
            .observe(ledger.clone())
            .build();
        (layer, ledger)
    }};
}

#[tokio::test(start_paused = true)]
async fn a_shadow_reports_a_call_whose_time_is_over_and_lets_it_run_on() {
    for (left, reason) in [(900 * MS, Reason::TimedOut), (3 * MS, Reason::DeadlineExceeded)] {
        let (layer, ledger) = shadow!(left,);
        let outcome = call(&mut layer.layer(Mock::new()), Ask::After(90 * MS, 1)).await;
        assert_eq!(outcome, Ok(1));
        let told = [admitted(), WouldReject(reason), settled(Class::Success)];
        assert_eq!(ledger.take("timeout"), told);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shadow_reports_a_deadline_that_has_passed_and_lets_the_call_in() {
    let (layer, ledger) = shadow!(MS,);
    advance(MS).await;
    let mut service = layer.layer(Mock::new());
    assert_eq!(call(&mut service, Ask::After(3 * MS, 1)).await, Ok(1));
    let would = WouldReject(Reason::DeadlineExceeded);
    assert_eq!(ledger.take("timeout"), [would, admitted(), settled(Class::Success)]);
    // What was reported on arrival is not reported again; the layer's own limit is.
    assert_eq!(call(&mut service, Ask::After(30 * MS, 1)).await, Ok(1));
    let over = WouldReject(Reason::TimedOut);
    assert_eq!(ledger.take("timeout"), [would, admitted(), over, settled(Class::Success)]);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_reports_a_readiness_that_took_too_long_and_waits_on() {
    let (layer, ledger) = shadow!(900 * MS, also_readiness);
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = layer.layer(mock);
    watch.stall();
    let hand = Hand::new();
    for _ in 0..3 {
        assert!(hand.poll_ready(&mut service).is_pending());
        advance(7 * MS).await;
    }
    watch.unstall();
    assert!(hand.woken() > 0);
    ready(&mut service);
    assert_eq!(tower::Service::call(&mut service, Ask::Answer(1)).await, Ok(1));
    let would = WouldReject(Reason::TimedOut);
    assert_eq!(ledger.take("timeout"), [would, admitted(), settled(Class::Success)]);
    // The next wait starts anew.
    assert_eq!(call(&mut service, Ask::After(3 * MS, 1)).await, Ok(1));
    assert_eq!(ledger.take("timeout"), [admitted(), settled(Class::Success)]);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_told_with_their_reason() {
    let ledger = Ledger::default();
    let layer = TimeoutLayer::builder(5 * MS).observe(ledger.clone()).build();
    call(&mut layer.layer(Mock::new()), Ask::Hold).await.unwrap_err();
    assert_eq!(ledger.take("timeout"), [admitted(), Rejected(Reason::TimedOut)]);
    ledger.assert_settled();
}

#[test]
fn nonsense_is_refused_by_try_build_and_build_panics_with_the_same_text() {
    let zero = TimeoutLayer::builder(Duration::ZERO).try_build().unwrap_err();
    let text = "timeout.limit is 0ns, allowed is longer than 0";
    assert_eq!(zero.to_string(), text);
    assert_eq!(panics(|| TimeoutLayer::builder(Duration::ZERO).build()), text);
    assert_eq!(panics(|| TimeoutLayer::new(Duration::ZERO)), text);
    let none = TimeoutLayer::builder(MS).detach(0).try_build().unwrap_err();
    assert_eq!(none.to_string(), "timeout.detach is 0, allowed is 1 or more");
    assert!(TimeoutLayer::from_config(Config::new(Duration::ZERO)).is_err());
    assert!(TimeoutLayer::builder(Duration::from_nanos(1)).try_build().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_config_builds_the_same_timeout() {
    let mut config = Config::new(5 * MS);
    (config.name, config.also_readiness) = (Some("db".into()), true);
    let mock = Mock::new();
    mock.watch().stall();
    let mut service = TimeoutLayer::from_config(config.clone()).unwrap().layer(mock);
    service.ready().await.unwrap();
    let refused = refusal(tower::Service::call(&mut service, Ask::Answer(1)).await);
    assert_eq!((refused.reason(), refused.name()), (Reason::TimedOut, Some("db")));
    config.shadow = true;
    let mut service = TimeoutLayer::from_config(config).unwrap().layer(Mock::new());
    assert_eq!(call(&mut service, Ask::After(9 * MS, 1)).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn without_a_name_it_is_called_by_its_kind() {
    let refused = refusal(call(&mut TimeoutLayer::new(MS).layer(Mock::new()), Ask::Hold).await);
    assert_eq!(refused.name(), Some("timeout"));
    assert_eq!(refused.to_string(), "timed out (timeout)");
}
