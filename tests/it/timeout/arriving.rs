//! The deadline of a request that comes in, sentence by sentence.

use std::task::Poll;
use std::time::Duration;

use buttress::observe::EventKind::{Abandoned, Malformed, Rejected, WouldReject};
use buttress::timeout::{Deadline, DeadlineConfig, DeadlineLayer, Deadlined};
use buttress::{Class, Reason};
use proptest::prelude::*;
use tokio::time::{Instant, advance};
use tower::{Layer, ServiceBuilder};

use super::{MS, assert_on_time};
use crate::support::{
    Ask, Hand, Ledger, Mock, Parcel, Seen, Unpack, Watch, admitted, call, panics, poll_once,
    refusal, settled,
};

/// The mock behind a layer, with an eye on what it is sent and on what it does.
fn laid(layer: &DeadlineLayer) -> (Deadlined<Unpack>, Seen, Watch) {
    let inner = Unpack::new();
    let (seen, watch) = (inner.seen(), inner.watch());
    (layer.layer(inner), seen, watch)
}

/// The time that a request has left, as the service inside finds it.
async fn left(layer: &DeadlineLayer, parcel: Parcel) -> Option<Duration> {
    let (mut service, seen, _) = laid(layer);
    assert_eq!(call(&mut service, parcel).await, Ok(1));
    let parcel = seen.lock().unwrap().pop().unwrap();
    parcel.deadline.map(Deadline::remaining)
}

fn parcel() -> Parcel {
    Parcel::new(Ask::Answer(1))
}

fn said(text: &str) -> Parcel {
    parcel().and("grpc-timeout", text)
}

#[tokio::test(start_paused = true)]
async fn it_reads_grpc_timeout_in_all_its_units() {
    let layer = DeadlineLayer::new();
    for (text, time) in [
        ("2H", Duration::from_secs(7200)),
        ("3M", Duration::from_secs(180)),
        ("4S", Duration::from_secs(4)),
        ("00000250m", 250 * MS),
        ("7000u", 7 * MS),
        ("99999999n", Duration::from_nanos(99_999_999)),
    ] {
        assert_eq!(left(&layer, said(text)).await, Some(time), "{text}");
    }
    assert!(left(&layer, said("99999999H")).await.is_some(), "longer than a clock can hold");
    assert_eq!(left(&layer, parcel()).await, None);
    assert_eq!(layer.handle().malformed(), 0);
}

#[tokio::test(start_paused = true)]
async fn malformed_headers_are_ignored_and_counted() {
    let ledger = Ledger::default();
    let layer = DeadlineLayer::builder().observe(ledger.clone()).build();
    let twice = said("1S").and("GRPC-timeout", "1S");
    let wrong = ["", "S", "5", "1s", "+1S", "-1S", " 1S", "1 S", "123456789n", "1S,2S", "1.5S"];
    let wrong = wrong.map(said).into_iter().chain([twice, parcel().and("grpc-timeout", [0xff])]);
    for (count, parcel) in (1..).zip(wrong) {
        assert_eq!(left(&layer, parcel.clone()).await, None, "{parcel:?}");
        assert_eq!(layer.handle().malformed(), count);
        let told = [Malformed, admitted(), settled(Class::Success)];
        assert_eq!(ledger.take("deadline"), told, "{parcel:?}");
    }
    ledger.assert_settled();
    assert_eq!(format!("{:?}", layer.handle()), "DeadlineHandle { malformed: 13 }");
}

#[tokio::test(start_paused = true)]
async fn a_malformed_header_gives_no_longer_deadline_than_there_is() {
    let layer = DeadlineLayer::builder().at_most(70 * MS).build();
    assert_eq!(left(&layer, said("soon")).await, Some(70 * MS));
    let sooner = said("soon").until(Deadline::after(30 * MS));
    assert_eq!(left(&layer, sooner).await, Some(30 * MS));
}

#[tokio::test(start_paused = true)]
async fn a_configured_header_stands_in_place_of_grpc_timeout() {
    let layer = DeadlineLayer::builder().header("X-Time-Left").build();
    for (text, time) in [("250", 250 * MS), ("250m", 250 * MS), ("2S", 2000 * MS)] {
        let parcel = said("1n").and("x-time-left", text);
        assert_eq!(left(&layer, parcel).await, Some(time), "{text}");
    }
    assert_eq!(left(&layer, said("1S")).await, None);
    assert_eq!(left(&layer, parcel().and("x-time-left", "123456789")).await, None);
    assert_eq!(layer.handle().malformed(), 1);
    // Under its own name the grammar is gRPC's, however it was given.
    let layer = DeadlineLayer::builder().header("Grpc-Timeout").build();
    assert_eq!(left(&layer, said("250")).await, None);
    assert_eq!(left(&layer, said("250m")).await, Some(250 * MS));
}

#[tokio::test(start_paused = true)]
async fn at_most_caps_the_deadline_and_gives_one_to_a_request_that_says_none() {
    let layer = DeadlineLayer::builder().at_most(70 * MS).build();
    assert_eq!(left(&layer, said("1S")).await, Some(70 * MS));
    assert_eq!(left(&layer, said("30m")).await, Some(30 * MS));
    assert_eq!(left(&layer, parcel()).await, Some(70 * MS));
    assert_eq!(left(&layer, parcel().until(Deadline::after(900 * MS))).await, Some(70 * MS));
    let longest = DeadlineLayer::builder().at_most(Duration::MAX).build();
    assert_eq!(left(&longest, said("30m")).await, Some(30 * MS));
    assert!(left(&longest, parcel()).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_there_stays_if_it_is_sooner() {
    let layer = DeadlineLayer::new();
    for (there, said_ms, time) in [(30, "70m", 30), (70, "30m", 30), (30, "30m", 30)] {
        let parcel = said(said_ms).until(Deadline::after(there * MS));
        assert_eq!(left(&layer, parcel).await, Some(time * MS));
    }
    let alone = parcel().until(Deadline::after(30 * MS));
    assert_eq!(left(&layer, alone).await, Some(30 * MS));
}

#[tokio::test(start_paused = true)]
async fn work_that_arrives_too_late_is_refused_undispatched() {
    let passed = Deadline::after(Duration::ZERO);
    let late = [said("0S"), said("00000000n"), parcel().until(passed), said("9H").until(passed)];
    for parcel in late {
        let ledger = Ledger::default();
        let layer = DeadlineLayer::builder().name("edge").observe(ledger.clone()).build();
        let (mut service, seen, watch) = laid(&layer);
        advance(MS).await;
        let refused = refusal(call(&mut service, parcel.clone()).await);
        assert_eq!((refused.reason(), refused.name()), (Reason::DeadlineExceeded, Some("edge")));
        assert!(!refused.was_dispatched(), "{parcel:?}");
        assert!(watch.called().is_empty() && seen.lock().unwrap().is_empty());
        assert_eq!(ledger.take("deadline"), [Rejected(Reason::DeadlineExceeded)]);
        // The grant of the refused call is still good.
        watch.stall();
        assert!(Hand::new().poll_ready(&mut service).is_ready());
    }
}

#[tokio::test(start_paused = true)]
async fn work_whose_deadline_passes_while_it_runs_is_dropped() {
    let ledger = Ledger::default();
    let layer = DeadlineLayer::builder().observe(ledger.clone()).build();
    let (mut service, _, watch) = laid(&layer);
    let start = Instant::now();
    let mut future = call(&mut service, Parcel::new(Ask::Hold).and("grpc-timeout", "30m"));
    let refused = refusal(std::future::poll_fn(|cx| future.as_mut().poll(cx)).await);
    assert_eq!((refused.reason(), refused.name()), (Reason::DeadlineExceeded, Some("deadline")));
    assert!(refused.was_dispatched());
    assert_eq!(watch.replies(), 0, "although the answer is still in somebody's hands");
    assert_on_time(start.elapsed(), 30 * MS);
    assert_eq!(ledger.take("deadline"), [admitted(), Rejected(Reason::DeadlineExceeded)]);
    ledger.assert_settled();
}

/// In a queue, for one: a layer further in that has not let it through yet.
#[tokio::test(start_paused = true)]
async fn work_whose_deadline_passes_while_it_waits_is_dropped() {
    let mock = Mock::new();
    let watch = mock.watch();
    let bulkhead = buttress::bulkhead::BulkheadLayer::builder(1).queue(5).build();
    let handle = bulkhead.handle();
    let stack = ServiceBuilder::new().layer(DeadlineLayer::new()).layer(bulkhead);
    let mut service = stack.map_request(|parcel: Parcel| parcel.ask).service(mock);
    let _running = call(&mut service, Parcel::new(Ask::Hold));
    let refused = refusal(call(&mut service, said("30m")).await);
    assert_eq!(refused.reason(), Reason::DeadlineExceeded);
    assert_eq!((handle.queued(), watch.called().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_from_the_arrival() {
    let (mut service, ..) = laid(&DeadlineLayer::new());
    let start = Instant::now();
    let future = call(&mut service, Parcel::new(Ask::Hold).and("grpc-timeout", "50m"));
    advance(20 * MS).await;
    refusal(future.await);
    assert_on_time(start.elapsed(), 50 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_ready_in_the_same_poll_as_the_deadline_wins() {
    let (mut service, _, watch) = laid(&DeadlineLayer::new());
    let mut future = call(&mut service, Parcel::new(Ask::Hold).and("grpc-timeout", "5m"));
    assert!(poll_once(&mut future).is_pending());
    advance(90 * MS).await;
    watch.let_go();
    assert_eq!(poll_once(&mut future), Poll::Ready(Ok(0)));
}

#[test]
fn without_a_deadline_there_is_no_timer_and_with_one_only_when_pending() {
    let timeless = tokio::runtime::Builder::new_current_thread().build().unwrap();
    timeless.block_on(async {
        let (mut service, _, watch) = laid(&DeadlineLayer::new());
        let mut held = call(&mut service, Parcel::new(Ask::Hold));
        assert!(poll_once(&mut held).is_pending());
        watch.let_go();
        assert_eq!(held.await, Ok(0));
        assert_eq!(call(&mut service, said("9S")).await, Ok(1));
        // There is no time driver here, as whoever does make a timer finds out.
        let mut pending = call(&mut service, Parcel::new(Ask::Pend(1)).and("grpc-timeout", "9S"));
        panics(|| drop(poll_once(&mut pending)));
    });
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_abandoned_at_any_poll() {
    for polls in 0..3 {
        let ledger = Ledger::default();
        let (mut service, _, watch) =
            laid(&DeadlineLayer::builder().observe(ledger.clone()).build());
        let mut future = call(&mut service, Parcel::new(Ask::Hold).and("grpc-timeout", "5m"));
        for _ in 0..polls {
            assert!(poll_once(&mut future).is_pending());
        }
        drop(future);
        assert_eq!(watch.replies(), 0);
        assert_eq!(ledger.take("deadline"), [admitted(), Abandoned]);
        ledger.assert_settled();
    }
}

#[tokio::test(start_paused = true)]
async fn a_shadow_reports_and_neither_refuses_nor_ends_nor_tells_those_further_in() {
    let ledger = Ledger::default();
    let layer = DeadlineLayer::builder().shadow().observe(ledger.clone()).build();
    let (mut service, seen, _) = laid(&layer);
    let would = WouldReject(Reason::DeadlineExceeded);
    assert_eq!(call(&mut service, said("0S")).await, Ok(1));
    assert_eq!(ledger.take("deadline"), [would, admitted(), settled(Class::Success)]);
    let slow = Parcel::new(Ask::After(90 * MS, 1)).and("grpc-timeout", "5m");
    assert_eq!(call(&mut service, slow).await, Ok(1));
    assert_eq!(ledger.take("deadline"), [admitted(), would, settled(Class::Success)]);
    assert!(seen.lock().unwrap().iter().all(|parcel| parcel.deadline.is_none()));
    ledger.assert_settled();
}

#[test]
fn nonsense_is_refused_by_try_build_and_build_panics_with_the_same_text() {
    let zero = DeadlineLayer::builder().at_most(Duration::ZERO);
    let text = "deadline.at_most is 0ns, allowed is longer than 0";
    assert_eq!(zero.try_build().unwrap_err().to_string(), text);
    assert_eq!(panics(|| DeadlineLayer::builder().at_most(Duration::ZERO).build()), text);
    for name in ["", "a b", "a:b", "caf\u{e9}", "a\n"] {
        let error = DeadlineLayer::builder().header(name).try_build().unwrap_err().to_string();
        let text = format!("deadline.header is {name:?}, allowed is the name of an HTTP header");
        assert_eq!(error, text);
    }
    let mut config = DeadlineConfig::default();
    config.header = String::new();
    assert!(DeadlineLayer::from_config(config).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_config_builds_the_same_layer() {
    let mut config = DeadlineConfig::default();
    (config.header, config.at_most) = ("x-left".into(), Some(70 * MS));
    config.name = Some("edge".into());
    let layer = DeadlineLayer::from_config(config.clone()).unwrap();
    assert_eq!(left(&layer, parcel().and("x-left", "30")).await, Some(30 * MS));
    assert_eq!(left(&layer, parcel()).await, Some(70 * MS));
    let (mut service, ..) = laid(&layer);
    let refused = refusal(call(&mut service, parcel().and("x-left", "0")).await);
    assert_eq!(refused.name(), Some("edge"));
    config.shadow = true;
    let (mut service, ..) = laid(&DeadlineLayer::from_config(config).unwrap());
    assert_eq!(call(&mut service, parcel().and("x-left", "0")).await, Ok(1));
}

/// The counter belongs to the layer value.
#[tokio::test(start_paused = true)]
async fn all_services_and_clones_of_a_layer_count_together() {
    let layer = DeadlineLayer::new();
    let handle = layer.handle();
    let (mut first, ..) = laid(&layer);
    let (mut second, ..) = laid(&layer.clone());
    for service in [&mut first, &mut second] {
        call(service, said("soon")).await.unwrap();
    }
    assert_eq!(handle.malformed(), 2);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_never_give_more_than_at_most(
        values in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..12),
                "[0-9]{0,9}[HMSmun]?".prop_map(String::into_bytes),
            ],
            0..3,
        ),
        there in proptest::option::of(0_u32..2000),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let layer = DeadlineLayer::builder().header("x-left").at_most(1000 * MS).build();
            let (mut service, seen, _) = laid(&layer);
            let mut parcel = values.iter().fold(parcel(), |it, value| it.and("x-left", value));
            parcel.deadline = there.map(|there| Deadline::after(there * MS));
            let outcome = call(&mut service, parcel).await;
            let Some(parcel) = seen.lock().unwrap().pop() else {
                assert_eq!(refusal(outcome).reason(), Reason::DeadlineExceeded);
                return;
            };
            let left = parcel.deadline.expect("at most gives one").remaining();
            assert!(left > Duration::ZERO && left <= 1000 * MS, "{left:?}");
            assert!(there.is_none_or(|there| left <= there * MS), "{left:?}");
        });
    }
}
