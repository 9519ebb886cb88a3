//! One terminal event for each call in the ways of ending that only one layer knows.

use std::pin::Pin;
use std::time::Duration;

use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Phase};
use buttress::load_shed::ThrottleLayer;
use buttress::observe::EventKind::{
    Abandoned, Admitted, LateResult, Queued, Rejected, Transitioned, WouldReject,
};
use buttress::observe::{EventKind, Stage};
use buttress::timeout::{Deadline, TimeoutLayer};
use buttress::{Class, Reason};
use tokio::time::advance;
use tower::{Layer, Service};

use super::outcomes::Subject;
use crate::support::{Ask, Ledger, Mock, Watch, admitted, call, panics, poll_once, ready, settled};

const MS: Duration = Duration::from_millis(1);

/// All that was told of one call, where it stood at its end, and that nothing is left.
#[track_caller]
fn told(ledger: &Ledger, last: Stage, expected: &[EventKind]) {
    let books = ledger.only();
    assert_eq!(books.kinds(), expected);
    assert_eq!(books.ended, 1);
    assert_eq!(books.last_stage(), Some(last));
    ledger.assert_settled();
}

const SUCCESS: Class = Class::Success;

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_a_call_in_flight() {
    let ledger = Ledger::default();
    let layer = TimeoutLayer::builder(5 * MS).observe(ledger.clone()).build();
    call(&mut layer.layer(Mock::new()), Ask::Hold).await.unwrap_err();
    told(&ledger, Stage::InFlight, &[admitted(), Rejected(Reason::TimedOut)]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_call_in_flight_or_on_arrival() {
    for (left, stage, before) in
        [(5 * MS, Stage::InFlight, vec![admitted()]), (Duration::ZERO, Stage::Arriving, vec![])]
    {
        let ledger = Ledger::default();
        let deadline = Deadline::after(left);
        let layer = TimeoutLayer::builder(60 * MS)
            .deadline(move |_: &Ask| Some(deadline))
            .observe(ledger.clone())
            .build();
        call(&mut layer.layer(Mock::new()), Ask::Hold).await.unwrap_err();
        told(&ledger, stage, &[before, vec![Rejected(Reason::DeadlineExceeded)]].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn a_readiness_that_timed_out_ends_the_call_on_arrival() {
    let (ledger, mock) = (Ledger::default(), Mock::new());
    mock.watch().stall();
    let layer = TimeoutLayer::builder(5 * MS).also_readiness().observe(ledger.clone()).build();
    let mut service = layer.layer(mock);
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    service.call(Ask::Answer(1)).await.unwrap_err();
    told(&ledger, Stage::Arriving, &[Rejected(Reason::TimedOut)]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_in_shadow_ends_as_the_inner_call_does() {
    let ledger = Ledger::default();
    let layer = TimeoutLayer::builder(5 * MS).shadow().observe(ledger.clone()).build();
    call(&mut layer.layer(Mock::new()), Ask::After(9 * MS, 1)).await.unwrap();
    let would = WouldReject(Reason::TimedOut);
    told(&ledger, Stage::InFlight, &[admitted(), would, settled(SUCCESS)]);
}

#[tokio::test(start_paused = true)]
async fn a_detached_call_has_ended_when_it_is_detached() {
    let (ledger, mock) = (Ledger::default(), Mock::new());
    let layer = TimeoutLayer::builder(5 * MS).detach(1).observe(ledger.clone()).build();
    call(&mut layer.layer(mock), Ask::After(9 * MS, 1)).await.unwrap_err();
    assert_eq!(layer.handle().running(), 1);
    assert_eq!(layer.handle().drain(60 * MS).await.running, 0);
    told(&ledger, Stage::InFlight, &[admitted(), Rejected(Reason::TimedOut)]);
}

#[tokio::test(start_paused = true)]
async fn a_full_bulkhead_ends_the_call_on_arrival() {
    let ledger = Ledger::default();
    let layer = BulkheadLayer::builder(0).observe(ledger.clone()).build();
    call(&mut layer.layer(Mock::new()), Ask::Answer(1)).await.unwrap_err();
    told(&ledger, Stage::Arriving, &[Rejected(Reason::BulkheadFull)]);
}

/// What becomes of the one that waits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Waits {
    AndIsServed,
    TooLong,
    AndGoesUnpolled,
    AndGoes,
    AndGoesWhenGranted,
    AndFindsTheServiceBroken,
    AndPanicsBeforeTheCall,
    AndPanicsInTheCall,
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_ends_once_however_it_ends() {
    let reached = Admitted { waited: 4 * MS };
    let cases = [
        (Waits::AndIsServed, vec![Queued, reached, settled(SUCCESS)]),
        (Waits::TooLong, vec![Queued, Rejected(Reason::QueueTimedOut)]),
        (Waits::AndGoesUnpolled, vec![Queued, Abandoned]),
        (Waits::AndGoes, vec![Queued, Abandoned]),
        (Waits::AndGoesWhenGranted, vec![Queued, Abandoned]),
        (Waits::AndFindsTheServiceBroken, vec![Queued, reached, settled(Class::Transient)]),
        (Waits::AndPanicsBeforeTheCall, vec![Queued, reached, Abandoned]),
        (Waits::AndPanicsInTheCall, vec![Queued, reached, Abandoned]),
    ];
    for (waits, expected) in cases {
        let (ledger, mock) = (Ledger::default(), Mock::new());
        let watch = mock.watch();
        let layer =
            BulkheadLayer::builder(1).queue(1).max_wait(9 * MS).observe(ledger.clone()).build();
        let mut service = layer.layer(mock);
        // Holds the slot until it is polled. Its class tells its end from that of the other.
        let holder = call(&mut service, Ask::Refuse(Reason::CircuitOpen));
        ledger.take("bulkhead");
        wait(&mut service, holder, &watch, waits).await;

        let books = ledger.only();
        let of_holder = settled(Class::Ignore);
        let kinds: Vec<_> = books.kinds().into_iter().filter(|kind| *kind != of_holder).collect();
        assert_eq!((kinds, books.ended), (expected, 2), "{waits:?}");
        assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (0, 0), "{waits:?}");
        ledger.assert_settled();
    }
}

async fn wait<S: Subject>(
    service: &mut S,
    holder: Pin<Box<S::Future>>,
    watch: &Watch,
    waits: Waits,
) {
    let ask = if waits == Waits::AndPanicsInTheCall { Ask::PanicInCall } else { Ask::Answer(1) };
    let mut waiter = call(service, ask);
    if waits != Waits::AndGoesUnpolled {
        assert!(poll_once(&mut waiter).is_pending());
    }
    match waits {
        Waits::AndGoesUnpolled | Waits::AndGoes => {
            drop(waiter);
            holder.await.unwrap_err();
            return;
        }
        Waits::TooLong => {
            waiter.await.unwrap_err();
            holder.await.unwrap_err();
            return;
        }
        Waits::AndFindsTheServiceBroken => watch.fail_readiness(1),
        Waits::AndPanicsBeforeTheCall => watch.panic_in_readiness(),
        _ => {}
    }
    advance(4 * MS).await;
    holder.await.unwrap_err();
    match waits {
        Waits::AndGoesWhenGranted => drop(waiter),
        Waits::AndPanicsBeforeTheCall | Waits::AndPanicsInTheCall => {
            panics(move || drop(poll_once(&mut waiter)));
        }
        _ => drop(waiter.await),
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_ends_the_call_on_arrival() {
    for stuck in [false, true] {
        let (ledger, mock) = (Ledger::default(), Mock::new());
        if stuck {
            mock.watch().stall();
        }
        let layer = CircuitBreakerLayer::builder().observe(ledger.clone()).build();
        layer.handle().force_open("a test");
        ledger.take("circuit_breaker");
        call(&mut layer.layer(mock), Ask::Answer(1)).await.unwrap_err();
        told(&ledger, Stage::Arriving, &[Rejected(Reason::CircuitOpen)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_opens_after_poll_ready_ends_the_call_on_arrival() {
    let ledger = Ledger::default();
    let layer = CircuitBreakerLayer::builder().observe(ledger.clone()).build();
    let mut service = layer.layer(Mock::new());
    ready(&mut service);
    layer.handle().force_open("a test");
    ledger.take("circuit_breaker");
    service.call(Ask::Answer(1)).await.unwrap_err();
    told(&ledger, Stage::Arriving, &[Rejected(Reason::CircuitOpen)]);
}

#[tokio::test(start_paused = true)]
async fn a_result_of_an_earlier_generation_ends_as_late() {
    let (ledger, mock) = (Ledger::default(), Mock::new());
    let layer = CircuitBreakerLayer::builder().observe(ledger.clone()).build();
    let mut future = call(&mut layer.layer(mock), Ask::FailAfter(5 * MS, 1));
    assert!(poll_once(&mut future).is_pending());
    layer.handle().reset();
    future.await.unwrap_err();
    told(&ledger, Stage::InFlight, &[admitted(), LateResult]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_or_panics_ends_as_abandoned() {
    for ask in [Ask::Hold, Ask::PanicInCall, Ask::PanicInPoll] {
        let ledger = Ledger::default();
        let layer =
            CircuitBreakerLayer::builder().consecutive_failures(1).observe(ledger.clone()).build();
        let mut service = layer.layer(Mock::new());
        call(&mut service, Ask::Fail(1)).await.unwrap_err();
        advance(10_000 * MS).await;
        let before = ledger.only().ended;
        ledger.take("circuit_breaker");
        if ask == Ask::Hold {
            assert!(poll_once(&mut call(&mut service, ask)).is_pending());
        } else {
            panics(|| drop(poll_once(&mut call(&mut service, ask))));
        }
        let half_open = Transitioned { from: Phase::Open, to: Phase::HalfOpen };
        assert_eq!(ledger.only().kinds(), [half_open, admitted(), Abandoned], "{ask:?}");
        assert_eq!(ledger.only().ended - before, 1);
        ledger.assert_settled();
    }
}

#[tokio::test(start_paused = true)]
async fn a_reserved_probe_that_is_not_called_is_no_call() {
    let ledger = Ledger::default();
    let layer = CircuitBreakerLayer::builder()
        .consecutive_failures(1)
        .gate()
        .observe(ledger.clone())
        .build();
    let mut service = layer.layer(Mock::new());
    call(&mut service, Ask::Fail(1)).await.unwrap_err();
    advance(10_000 * MS).await;
    ledger.take("circuit_breaker");
    ready(&mut service);
    drop(service);
    let half_open = Transitioned { from: Phase::Open, to: Phase::HalfOpen };
    assert_eq!(ledger.only().kinds(), [half_open]);
    ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_shadow_ends_as_the_inner_call_does() {
    let ledger = Ledger::default();
    let layer = CircuitBreakerLayer::builder().shadow().observe(ledger.clone()).build();
    layer.handle().force_open("a test");
    ledger.take("circuit_breaker");
    call(&mut layer.layer(Mock::new()), Ask::Answer(1)).await.unwrap();
    let would = WouldReject(Reason::CircuitOpen);
    told(&ledger, Stage::InFlight, &[would, admitted(), settled(SUCCESS)]);

    let ledger = Ledger::default();
    let layer = BulkheadLayer::builder(0).shadow().observe(ledger.clone()).build();
    call(&mut layer.layer(Mock::new()), Ask::Answer(1)).await.unwrap();
    let would = WouldReject(Reason::BulkheadFull);
    told(&ledger, Stage::InFlight, &[would, admitted(), settled(SUCCESS)]);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_refuses_on_arrival_and_in_shadow_lets_pass() {
    for shadow in [false, true] {
        let ledger = Ledger::default();
        let builder = ThrottleLayer::builder().floor(0.0).seed(1).observe(ledger.clone());
        let layer = if shadow { builder.shadow() } else { builder }.build();
        let mut service = layer.layer(Mock::new());
        while !ledger.of("throttle").kinds().iter().any(|kind| {
            matches!(kind, Rejected(Reason::Overloaded) | WouldReject(Reason::Overloaded))
        }) {
            ledger.take("throttle");
            let _ = call(&mut service, Ask::Refuse(Reason::TimedOut)).await;
        }
        let would = vec![WouldReject(Reason::Overloaded), admitted(), settled(Class::Transient)];
        let refused = vec![Rejected(Reason::Overloaded)];
        assert_eq!(ledger.of("throttle").kinds(), if shadow { would } else { refused });
        ledger.assert_settled();
    }
}
