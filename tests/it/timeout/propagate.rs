//! The deadline of a request that goes out, sentence by sentence.

use std::time::Duration;

use buttress::observe::EventKind::{Abandoned, Malformed, Rejected, WouldReject};
use buttress::timeout::{
    Deadline, FindDeadline, HeaderFormat, PropagateDeadlineConfig, PropagateDeadlineLayer,
};
use buttress::{Class, Reason};
use proptest::prelude::*;
use tokio::time::advance;
use tower::{Layer, service_fn};

use super::MS;
use crate::support::{
    Ask, Fault, Hand, Ledger, Mock, Parcel, admitted, call, panics, poll_once, refusal, settled,
};

/// What is sent on, or why not.
async fn sent<D>(layer: &PropagateDeadlineLayer<D>, parcel: Parcel) -> Result<Parcel, Reason>
where
    D: FindDeadline<Parcel>,
{
    let mut service = layer.layer(service_fn(async |parcel: Parcel| Ok::<_, Fault>(parcel)));
    match call(&mut service, parcel).await {
        Ok(parcel) => Ok(parcel),
        Err(fault) => {
            let refused = refusal::<()>(Err(fault));
            assert!(!refused.was_dispatched());
            Err(refused.reason())
        }
    }
}

fn parcel(left: Duration) -> Parcel {
    Parcel::new(Ask::Answer(1)).until(Deadline::after(left))
}

/// The header that is sent for a request with this long until its deadline.
async fn said(layer: &PropagateDeadlineLayer, left: Duration) -> Option<String> {
    let parcel = sent(layer, parcel(left)).await.ok()?;
    Some(parcel.text("grpc-timeout").expect("it was sent on").to_owned())
}

#[tokio::test(start_paused = true)]
async fn it_says_the_time_left_rounded_down_in_the_finest_unit_that_fits_8_digits() {
    let layer = PropagateDeadlineLayer::new();
    for (left, text) in [
        (Duration::from_nanos(1), "1n"),
        (Duration::from_nanos(99_999_999), "99999999n"),
        (Duration::from_nanos(100_000_999), "100000u"),
        (Duration::from_secs(100), "100000m"),
        (Duration::new(100_000, 999_999_999), "100000S"),
        (Duration::from_secs(100_000_059), "1666667M"),
    ] {
        assert_eq!(said(&layer, left).await.as_deref(), Some(text));
    }
}

#[tokio::test(start_paused = true)]
async fn the_margin_is_kept_back() {
    let layer = PropagateDeadlineLayer::builder().margin(20 * MS).build();
    assert_eq!(said(&layer, 70 * MS).await.as_deref(), Some("50000000n"));
    assert_eq!(said(&PropagateDeadlineLayer::new(), 70 * MS).await.as_deref(), Some("70000000n"));
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_left_after_the_margin_the_call_is_refused_and_not_sent() {
    let ledger = Ledger::default();
    let layer =
        PropagateDeadlineLayer::builder().margin(20 * MS).name("c").observe(ledger.clone()).build();
    for left in [Duration::ZERO, MS, 20 * MS] {
        assert_eq!(sent(&layer, parcel(left)).await, Err(Reason::DeadlineExceeded));
        assert_eq!(ledger.take("propagate_deadline"), [Rejected(Reason::DeadlineExceeded)]);
    }
    assert!(sent(&layer, parcel(20 * MS + Duration::from_nanos(1))).await.is_ok());
    let passed = parcel(MS);
    advance(9 * MS).await;
    assert_eq!(sent(&PropagateDeadlineLayer::new(), passed).await, Err(Reason::DeadlineExceeded));
    let all = PropagateDeadlineLayer::builder().margin(Duration::MAX).build();
    assert_eq!(sent(&all, parcel(90 * MS)).await, Err(Reason::DeadlineExceeded));
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_leaves_the_grant_for_the_next_one() {
    let mock = Mock::new();
    let watch = mock.watch();
    let late = |_: &Ask| Some(Deadline::after(Duration::ZERO));
    let mut service = PropagateDeadlineLayer::builder().deadline(late).build().layer(mock);
    refusal(call(&mut service, Ask::Answer(1)).await);
    watch.stall();
    assert!(Hand::new().poll_ready(&mut service).is_ready());
    assert!(watch.called().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_deadline_is_untouched() {
    let layer = PropagateDeadlineLayer::new();
    let bare = Parcel::new(Ask::Answer(1));
    for parcel in [bare.clone(), bare.clone().and("grpc-timeout", "soon"), bare.and("a", "b")] {
        assert_eq!(sent(&layer, parcel.clone()).await, Ok(parcel));
    }
    assert_eq!(layer.handle().malformed(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_there_and_says_less_stays() {
    let layer = PropagateDeadlineLayer::builder().margin(20 * MS).build();
    for (there, text) in [
        ("10m", "10m"),
        ("50m", "50m"),
        ("50000001n", "50000000n"),
        ("60m", "50000000n"),
        ("1H", "50000000n"),
    ] {
        let parcel = sent(&layer, parcel(70 * MS).and("grpc-timeout", there)).await.unwrap();
        assert_eq!(parcel.text("grpc-timeout"), Some(text), "{there}");
        assert_eq!(parcel.headers.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_there_and_makes_no_sense_is_replaced_and_counted() {
    let ledger = Ledger::default();
    let layer = PropagateDeadlineLayer::builder().observe(ledger.clone()).build();
    let wrong = parcel(70 * MS).and("grpc-timeout", "soon");
    let twice = parcel(70 * MS).and("grpc-timeout", "1m").and("grpc-timeout", "1m");
    for parcel in [wrong, twice] {
        let parcel = sent(&layer, parcel).await.unwrap();
        assert_eq!(parcel.text("grpc-timeout"), Some("70000000n"));
        let told = [Malformed, admitted(), settled(Class::Success)];
        assert_eq!(ledger.take("propagate_deadline"), told);
    }
    assert_eq!(layer.handle().malformed(), 2);
}

/// A retry outside sends clones of one request.
#[tokio::test(start_paused = true)]
async fn each_attempt_says_what_is_left_by_then() {
    let layer = PropagateDeadlineLayer::new();
    let original = parcel(70 * MS);
    let mut before = String::new();
    for expected in ["70000000n", "50000000n", "30000000n", "10000000n"] {
        let fresh = sent(&layer, original.clone()).await.unwrap();
        assert_eq!(fresh.text("grpc-timeout"), Some(expected));
        // Even one that has the header of the attempt before.
        if !before.is_empty() {
            let stale = original.clone().and("grpc-timeout", &before);
            let again = sent(&layer, stale).await.unwrap();
            assert_eq!(again.text("grpc-timeout"), Some(expected));
        }
        before = expected.to_owned();
        advance(20 * MS).await;
    }
    assert_eq!(sent(&layer, original).await, Err(Reason::DeadlineExceeded));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_found_by_a_closure() {
    let deadline = Deadline::after(70 * MS);
    let layer =
        PropagateDeadlineLayer::builder().deadline(move |_: &Parcel| Some(deadline)).build();
    let parcel = sent(&layer, Parcel::new(Ask::Answer(1))).await.unwrap();
    assert_eq!(parcel.text("grpc-timeout"), Some("70000000n"));
}

#[tokio::test(start_paused = true)]
async fn another_header_in_either_format() {
    let layer = PropagateDeadlineLayer::builder().header("X-Left").build();
    let there = sent(&layer, parcel(70 * MS).and("grpc-timeout", "9H")).await.unwrap();
    assert_eq!((there.text("x-left"), there.text("grpc-timeout")), (Some("70000000n"), Some("9H")));

    let millis = PropagateDeadlineLayer::builder().header_millis("x-left-ms").build();
    let text = |left| {
        let parcel = sent(&millis, parcel(left));
        async { parcel.await.map(|parcel| parcel.text("x-left-ms").unwrap().to_owned()) }
    };
    assert_eq!(text(Duration::from_micros(70_999)).await.as_deref(), Ok("70"));
    assert_eq!(text(Duration::from_secs(1_000_000)).await.as_deref(), Ok("99999999"));
    assert_eq!(text(Duration::from_micros(999)).await, Err(Reason::DeadlineExceeded));
    let less = sent(&millis, parcel(70 * MS).and("x-left-ms", "69")).await.unwrap();
    assert_eq!(less.text("x-left-ms"), Some("69"));
}

#[tokio::test(start_paused = true)]
async fn a_shadow_reports_and_leaves_the_requests_as_they_are() {
    let ledger = Ledger::default();
    let layer = PropagateDeadlineLayer::builder().shadow().observe(ledger.clone()).build();
    let late = parcel(Duration::ZERO);
    assert_eq!(sent(&layer, late.clone()).await, Ok(late));
    let would = WouldReject(Reason::DeadlineExceeded);
    let ended = settled(Class::Success);
    assert_eq!(ledger.take("propagate_deadline"), [would, admitted(), ended]);
    let early = parcel(70 * MS);
    assert_eq!(sent(&layer, early.clone()).await, Ok(early));
    assert_eq!(ledger.take("propagate_deadline"), [admitted(), ended]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_abandoned() {
    let ledger = Ledger::default();
    let layer = PropagateDeadlineLayer::builder().observe(ledger.clone()).build();
    let mut service = layer.layer(Mock::new());
    let mut future = call(&mut service, Ask::Hold);
    assert!(poll_once(&mut future).is_pending());
    drop(future);
    assert_eq!(ledger.take("propagate_deadline"), [admitted(), Abandoned]);
    ledger.assert_settled();
}

/// Nor does it end a call at the deadline: a timeout does.
#[test]
fn it_needs_no_time_driver() {
    let timeless = tokio::runtime::Builder::new_current_thread().build().unwrap();
    timeless.block_on(async {
        let layer = PropagateDeadlineLayer::builder()
            .deadline(|_: &Ask| Some(Deadline::after(9 * MS)))
            .build();
        let mut service = layer.layer(Mock::new());
        assert!(poll_once(&mut call(&mut service, Ask::Hold)).is_pending());
    });
}

#[test]
fn nonsense_is_refused_by_try_build_and_build_panics_with_the_same_text() {
    let builder = PropagateDeadlineLayer::builder;
    let text = r#"propagate_deadline.header is "a b", allowed is the name of an HTTP header"#;
    assert_eq!(builder().header("a b").try_build().unwrap_err().to_string(), text);
    assert_eq!(panics(|| builder().header_millis("a b").build()), text);
    let text =
        "propagate_deadline.format is Millis, allowed is `grpc` for the header `grpc-timeout`";
    assert_eq!(builder().header_millis("GRPC-Timeout").try_build().unwrap_err().to_string(), text);
    let mut config = PropagateDeadlineConfig::default();
    config.format = HeaderFormat::Millis;
    assert!(PropagateDeadlineLayer::from_config(config).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_config_builds_the_same_layer() {
    let mut config = PropagateDeadlineConfig::default();
    (config.header, config.format) = ("x-left".into(), HeaderFormat::Millis);
    (config.margin, config.name) = (20 * MS, Some("c".into()));
    let layer = PropagateDeadlineLayer::from_config(config.clone()).unwrap();
    let parcel70 = sent(&layer, parcel(70 * MS)).await.unwrap();
    assert_eq!(parcel70.text("x-left"), Some("50"));
    config.shadow = true;
    let layer = PropagateDeadlineLayer::from_config(config).unwrap();
    assert_eq!(sent(&layer, parcel(MS)).await.unwrap().headers, []);
}

proptest! {
    #[test]
    fn what_is_said_and_read_again_is_never_longer_than_what_was_left(
        nanos in (0_u32..64).prop_flat_map(|bits| 1_u64..=(u64::MAX >> bits)),
        margin in 0_u64..1_000_000,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let (left, margin) = (Duration::from_nanos(nanos), Duration::from_nanos(margin));
            let out = PropagateDeadlineLayer::builder().margin(margin).build();
            let original = parcel(left);
            let Ok(mut arrived) = sent(&out, original.clone()).await else {
                assert!(left <= margin);
                return;
            };
            arrived.deadline = None;
            let into = buttress::timeout::DeadlineLayer::new();
            let mut server = into.layer(service_fn(async |parcel: Parcel| {
                Ok::<_, Fault>(parcel.deadline)
            }));
            let read = call(&mut server, arrived).await.unwrap().expect("it says one");
            assert!(read <= original.deadline.unwrap(), "{left:?}");
            assert_eq!(into.handle().malformed(), 0);
        });
    }
}
