//! What counts as a request, what as an accept, and for how long.

use super::*;
use crate::support::panics;

#[tokio::test(start_paused = true)]
async fn local_refusals_count_in_requests() {
    let mut rig = Rig::new();
    rig.overload(1_000).await;
    assert!(rig.sent() < 50, "most were refused here, and not by the service: {}", rig.sent());
    assert_eq!(rig.counts(), (1_000, 0));
}

#[tokio::test(start_paused = true)]
async fn only_overload_and_timeouts_lower_accepts() {
    let accepted = [
        Ask::Answer(1),
        Ask::After(SECOND, 1),
        Ask::Fail(WRONG),
        Ask::Fail(500),
        Ask::FailAfter(SECOND, 500),
        Ask::Refuse(Reason::CircuitOpen),
        Ask::Refuse(Reason::Overloaded),
        Ask::Refuse(Reason::DeadlineExceeded),
    ];
    for ask in accepted {
        let mut rig = Rig::new();
        rig.send(ask, 3).await;
        assert_eq!(rig.counts(), (3, 3), "{ask:?}");
    }
    let lowering = [Ask::Fail(BUSY), Ask::FailAfter(SECOND, BUSY), Ask::Refuse(Reason::TimedOut)];
    for ask in lowering {
        let mut rig = Rig::new();
        rig.send(Ask::Answer(1), 10).await;
        rig.send(ask, 3).await;
        assert_eq!(rig.counts(), (13, 10), "{ask:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_classifier_timeouts_alone_lower_accepts() {
    let layer = ThrottleLayer::new();
    let mut service = layer.layer(Mock::new());
    for ask in [Ask::Answer(1), Ask::Answer(1), Ask::Fail(BUSY), Ask::Refuse(Reason::CircuitOpen)] {
        let _ = call(&mut service, ask).await;
    }
    let count = || (layer.handle().requests(), layer.handle().accepts());
    assert_eq!(count(), (4, 4));
    call(&mut service, Ask::Refuse(Reason::TimedOut)).await.unwrap_err();
    assert_eq!(count(), (5, 4));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_the_classifier_takes_for_something_else_is_believed_to_be_that() {
    let layer =
        ThrottleLayer::builder().classify(classify_fn(|_: Result<&u32, &Fault>| Class::Permanent));
    let layer = layer.build();
    let mut service = layer.layer(Mock::new());
    call(&mut service, Ask::Refuse(Reason::TimedOut)).await.unwrap_err();
    assert_eq!((layer.handle().requests(), layer.handle().accepts()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_count_as_accepted() {
    let mut rig = Rig::new();
    let held: Vec<_> = (0..100).map(|_| call(&mut rig.service, Ask::Hold)).collect();
    assert_eq!(rig.counts(), (100, 100), "that they take long says nothing");
    assert!(rig.reaches(Ask::Answer(1)).await);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_or_panics_counts_as_accepted() {
    let mut rig = Rig::new();
    drop(call(&mut rig.service, Ask::Hold));
    let mut polled = call(&mut rig.service, Ask::Hold);
    assert!(poll_once(&mut polled).is_pending());
    drop(polled);
    for ask in [Ask::PanicInCall, Ask::PanicInPoll, Ask::Fail(HOPELESS)] {
        panics(|| drop(poll_once(&mut call(&mut rig.service, ask))));
    }
    assert_eq!(rig.counts(), (5, 5));
    let abandoned = rig.told().iter().filter(|kind| **kind == EventKind::Abandoned).count();
    assert_eq!(abandoned, 5);
    rig.ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn counts_are_of_the_last_two_minutes() {
    let mut rig = Rig::new();
    rig.send(Ask::Answer(1), 30).await;
    rig.send(Ask::Fail(BUSY), 10).await;
    advance(WINDOW - MS).await;
    assert_eq!(rig.counts(), (40, 30));
    advance(MS).await;
    assert_eq!(rig.counts(), (0, 0));
    // Of requests late in their slice too, none counts for less than the window less a slice.
    advance(SLICE - MS).await;
    rig.send(Ask::Answer(1), 5).await;
    advance(WINDOW - SLICE).await;
    assert_eq!(rig.counts(), (5, 5));
    advance(MS).await;
    assert_eq!(rig.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_belongs_to_the_time_of_its_request() {
    let mut rig = Rig::new();
    let late = call(&mut rig.service, Ask::FailAfter(WINDOW + SECOND, BUSY));
    let sooner = call(&mut rig.service, Ask::FailAfter(WINDOW - SECOND, BUSY));
    rig.send(Ask::Answer(1), 5).await;
    sooner.await.unwrap_err();
    assert_eq!(rig.counts(), (7, 6));
    late.await.unwrap_err();
    assert_eq!(rig.counts(), (0, 0), "gone, and what was found out of them with them");
    rig.send(Ask::Answer(1), 5).await;
    assert_eq!(rig.counts(), (5, 5));
}

#[test]
fn no_call_is_lost_among_threads() {
    let layer = ThrottleLayer::builder().window(86_400 * SECOND).build();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let mut service = layer.layer(Mock::new());
            scope.spawn(move || {
                for n in 0..2_500_u32 {
                    let late = n % 25 == 0;
                    let ask = if late { Ask::Refuse(Reason::TimedOut) } else { Ask::Answer(n) };
                    assert!(poll_once(&mut call(&mut service, ask)).is_ready());
                }
            });
        }
    });
    assert_eq!((layer.handle().requests(), layer.handle().accepts()), (20_000, 19_200));
}
