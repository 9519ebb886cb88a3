//! The last attempt of a retry around a timeout, which is left to its deadline.

use std::time::Duration;

use buttress::Reason;
use buttress::retry::Attempt;
use buttress::timeout::{Deadline, FromRequest, TimeoutLayer};
use tokio::time::Instant;
use tower::{Layer, Service};

use super::{MS, assert_on_time};
use crate::support::{Ask, Fault, Parcel, Unpack, call, poll_once, refusal};

fn attempt(number: u32, of: u32, ask: Ask) -> Parcel {
    Parcel { attempt: Some(Attempt::new(number, of)), ..Parcel::new(ask) }
}

/// Fails unless it ends after this long with a timeout.
async fn ends<S>(service: &mut S, parcel: Parcel, reason: Reason, taken: Duration)
where
    S: Service<Parcel, Response = u32, Error = Fault>,
{
    let start = Instant::now();
    assert_eq!(refusal(call(service, parcel).await).reason(), reason);
    assert_on_time(start.elapsed(), taken);
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_is_not_bounded_by_the_limit_and_every_other_is() {
    let mut service =
        TimeoutLayer::builder(5 * MS).last_attempt_unbounded().build().layer(Unpack::new());
    for (number, of) in [(1, 2), (2, 3), (1, 3)] {
        let parcel = attempt(number, of, Ask::Hold);
        ends(&mut service, parcel, Reason::TimedOut, 5 * MS).await;
    }
    for (number, of) in [(2, 2), (3, 3), (1, 1)] {
        let parcel = attempt(number, of, Ask::After(900_000 * MS, 1));
        assert_eq!(call(&mut service, parcel).await, Ok(1));
    }
    // Outside of any retry.
    ends(&mut service, Parcel::new(Ask::Hold), Reason::TimedOut, 5 * MS).await;
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_the_last_attempt_is_bounded_too() {
    let mut service = TimeoutLayer::new(5 * MS).layer(Unpack::new());
    ends(&mut service, attempt(2, 2, Ask::Hold), Reason::TimedOut, 5 * MS).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_is_bounded_by_the_deadline() {
    let layer =
        TimeoutLayer::builder(5 * MS).deadline(FromRequest).last_attempt_unbounded().build();
    let mut service = layer.layer(Unpack::new());
    let parcel = attempt(2, 2, Ask::Hold).until(Deadline::after(70 * MS));
    ends(&mut service, parcel, Reason::DeadlineExceeded, 70 * MS).await;
    let parcel = attempt(1, 2, Ask::Hold).until(Deadline::after(70 * MS));
    ends(&mut service, parcel, Reason::TimedOut, 5 * MS).await;
}

#[tokio::test(start_paused = true)]
async fn every_other_attempt_keeps_the_limit_of_its_request() {
    let layer =
        TimeoutLayer::builder(5 * MS).per_request(|_: &Parcel| 30 * MS).last_attempt_unbounded();
    let mut service = layer.build().layer(Unpack::new());
    ends(&mut service, attempt(1, 2, Ask::Hold), Reason::TimedOut, 30 * MS).await;
    assert_eq!(call(&mut service, attempt(2, 2, Ask::After(90 * MS, 1))).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_readiness_takes_nothing_from_the_last_attempt() {
    let layer = TimeoutLayer::builder(50 * MS).also_readiness().last_attempt_unbounded();
    let mut service = layer.build().layer(Unpack::new());
    assert_eq!(call(&mut service, attempt(2, 2, Ask::After(90 * MS, 1))).await, Ok(1));
    ends(&mut service, attempt(1, 2, Ask::Hold), Reason::TimedOut, 50 * MS).await;
}

/// No limit, no timer.
#[test]
fn an_unbounded_attempt_needs_no_time_driver() {
    let timeless = tokio::runtime::Builder::new_current_thread().build().unwrap();
    timeless.block_on(async {
        let mut service =
            TimeoutLayer::builder(5 * MS).last_attempt_unbounded().build().layer(Unpack::new());
        assert!(poll_once(&mut call(&mut service, attempt(2, 2, Ask::Hold))).is_pending());
    });
}
