//! Who wins, and what becomes of the other.

use std::task::Poll;

use buttress::Reason;
use buttress::hedge::{Delay, HedgeLayer};
use buttress::retry::Idempotent;
use tokio::time::{Instant, advance};
use tower::Layer;

use super::*;
use crate::support::{Hand, Mock, call, poll_once, refusal};

#[tokio::test(start_paused = true)]
async fn a_second_attempt_is_sent_after_the_delay_and_not_before() {
    let mut rig = Rig::second(Ask::After(5 * MS, 2));
    let start = Instant::now();
    let mut future = call(&mut rig.service, Ask::Hold);
    let hand = Hand::new();
    assert!(hand.poll(&mut future).is_pending());
    advance(9 * MS).await;
    assert!(hand.poll(&mut future).is_pending());
    assert_eq!((rig.sent(), hand.woken()), (1, 0));
    assert_eq!(future.await, Ok(2));
    assert_eq!(start.elapsed(), 15 * MS);
    assert_eq!(rig.watch.most_replies(), 2);
}

#[tokio::test(start_paused = true)]
async fn there_are_never_more_than_two_attempts() {
    let mut rig = Rig::second(Ask::Hold);
    let mut future = call(&mut rig.service, Ask::Hold);
    for _ in 0..20 {
        assert!(poll_once(&mut future).is_pending());
        advance(10 * MS).await;
    }
    assert_eq!(rig.sent(), 2);
    // Nor after failures: the second is the last.
    let mut rig = Rig::second(Ask::Fail(2));
    assert_eq!(call(&mut rig.service, Ask::Fail(1)).await, Err(Fault::Broken(2)));
    assert_eq!(rig.sent(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_that_ends_before_the_delay_is_the_only_one() {
    let mut rig = Rig::second(Ask::Answer(2));
    for ask in [Ask::Answer(1), Ask::After(9 * MS, 1), Ask::Pend(1), Ask::FailAfter(MS, WRONG)] {
        let outcome = call(&mut rig.service, ask).await;
        assert!(outcome == Ok(1) || outcome == Err(Fault::Broken(WRONG)), "{outcome:?}");
    }
    assert_eq!(rig.sent(), 4);
}

/// How a call ends whose second attempt starts after 10 ms, and when.
async fn race(first: Ask, second: Ask) -> (Result<u32, Fault>, u128, usize) {
    let mut rig = Rig::second(second);
    let start = Instant::now();
    let outcome = call(&mut rig.service, first).await;
    assert_eq!(rig.watch.replies(), 0, "{first:?}, {second:?}");
    (outcome, start.elapsed().as_millis(), rig.sent())
}

#[tokio::test(start_paused = true)]
async fn the_first_acceptable_result_wins_which_is_a_success_or_a_permanent_failure() {
    let (slow, fail, wrong) = (Ask::After(30 * MS, 1), Ask::FailAfter, Err(Fault::Broken(WRONG)));
    assert_eq!(race(slow, Ask::After(5 * MS, 2)).await, (Ok(2), 15, 2));
    assert_eq!(race(slow, Ask::After(50 * MS, 2)).await, (Ok(1), 30, 2));
    assert_eq!(race(slow, fail(5 * MS, WRONG)).await, (wrong.clone(), 15, 2));
    assert_eq!(race(fail(30 * MS, WRONG), Ask::Hold).await, (wrong, 30, 2));
    // In the same poll the first wins.
    assert_eq!(race(slow, Ask::After(20 * MS, 2)).await, (Ok(1), 30, 2));
    assert_eq!(race(Ask::After(10 * MS, 1), Ask::Answer(2)).await, (Ok(1), 10, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_dropped_and_the_other_waited_for() {
    for code in [7, BUSY, BUSY_FOR, STOP, LOST] {
        let (slow, fail) = (Ask::After(30 * MS, 1), Ask::FailAfter);
        assert_eq!(race(slow, fail(5 * MS, code)).await, (Ok(1), 30, 2), "{code}");
        let after = Ask::After(20 * MS, 2);
        assert_eq!(race(fail(15 * MS, code), after).await, (Ok(2), 30, 2), "{code}");
    }
    let refuse = Ask::Refuse(Reason::BulkheadFull);
    assert_eq!(race(Ask::After(30 * MS, 1), refuse).await, (Ok(1), 30, 2));
}

#[tokio::test(start_paused = true)]
async fn a_failed_second_attempt_is_gone_at_once() {
    let mut rig = Rig::second(Ask::FailAfter(5 * MS, 7));
    let mut future = call(&mut rig.service, Ask::Hold);
    assert!(poll_once(&mut future).is_pending());
    advance(10 * MS).await;
    assert!(poll_once(&mut future).is_pending());
    assert_eq!((rig.sent(), rig.watch.replies()), (2, 2));
    advance(5 * MS).await;
    assert!(poll_once(&mut future).is_pending());
    assert_eq!((rig.sent(), rig.watch.replies()), (2, 1));
    rig.watch.let_go();
    assert_eq!(future.await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_of_the_first_starts_the_second_at_once() {
    let fail = Ask::FailAfter;
    assert_eq!(race(Ask::Fail(7), Ask::Answer(2)).await, (Ok(2), 0, 2));
    assert_eq!(race(fail(3 * MS, 7), Ask::After(5 * MS, 2)).await, (Ok(2), 8, 2));
    assert_eq!(race(Ask::Refuse(Reason::TimedOut), Ask::Answer(2)).await, (Ok(2), 0, 2));
    // Whoever is overloaded and wants to be asked at once.
    assert_eq!(race(Ask::Fail(BUSY_BUT_AT_ONCE), Ask::Answer(2)).await, (Ok(2), 0, 2));
}

#[tokio::test(start_paused = true)]
async fn overload_stop_and_what_may_not_be_sent_again_start_no_second_attempt() {
    for code in [BUSY, BUSY_FOR, STOP, LOST, WRONG] {
        let broken = Err(Fault::Broken(code));
        assert_eq!(race(Ask::Fail(code), Ask::Answer(2)).await, (broken.clone(), 0, 1));
        assert_eq!(race(Ask::FailAfter(3 * MS, code), Ask::Answer(2)).await, (broken, 3, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_on_this_side_starts_no_second_attempt() {
    let (outcome, _, sent) = race(Ask::Refuse(Reason::CircuitOpen), Ask::Answer(2)).await;
    let refused = refusal(outcome);
    assert_eq!((refused.reason(), refused.name(), sent), (Reason::CircuitOpen, Some("inner"), 1));
}

#[tokio::test(start_paused = true)]
async fn when_nothing_else_is_in_flight_the_last_outcome_is_the_answer() {
    let (fail, broken) = (Ask::FailAfter, |code| Err(Fault::Broken(code)));
    assert_eq!(race(fail(15 * MS, 1), fail(10 * MS, 2)).await, (broken(2), 20, 2));
    assert_eq!(race(fail(25 * MS, 1), fail(10 * MS, 2)).await, (broken(1), 25, 2));
    assert_eq!(race(Ask::Fail(1), fail(10 * MS, BUSY)).await, (broken(BUSY), 10, 2));
    let (outcome, _, _) = race(Ask::Fail(1), Ask::Refuse(Reason::BulkheadFull)).await;
    assert_eq!(refusal(outcome).reason(), Reason::BulkheadFull);
}

#[tokio::test(start_paused = true)]
async fn losers_are_dropped_before_the_winner_returns() {
    let lost = [
        (Ask::Hold, Ask::After(5 * MS, 2)),
        (Ask::After(30 * MS, 1), Ask::Hold),
        (Ask::Hold, Ask::FailAfter(5 * MS, WRONG)),
    ];
    for (first, second) in lost {
        let mut rig = Rig::second(second);
        let mut future = call(&mut rig.service, first);
        let _ = (&mut future).await;
        // The future is still there.
        assert_eq!((rig.sent(), rig.watch.replies()), (2, 0), "{first:?}, {second:?}");
        assert_eq!(rig.watch.alive(), 1, "nor is an instance kept");
        drop(future);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_answer_is_dropped_before_the_second_attempt_is_sent() {
    // What is alive besides this one are answers.
    static ALIVE: Mutex<Option<Arc<()>>> = Mutex::new(None);
    let answers = || ALIVE.lock().unwrap().get_or_insert_default().clone();
    let seen = Mutex::new(Vec::new());
    let layer = HedgeLayer::builder(Idempotent)
        .delay(Delay::Fixed(10 * MS))
        .classify(buttress::classify_fn(|_: Result<&Arc<()>, &Fault>| Class::Transient))
        .build();
    let mut service = layer.layer(tower::service_fn(|()| {
        let answer = answers();
        // This answer, and the one that is kept.
        seen.lock().unwrap().push(Arc::strong_count(&answer) - 2);
        std::future::ready(Ok::<_, Fault>(answer))
    }));
    call(&mut service, ()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_must_not_be_sent_twice_is_not() {
    let mut rig = Rig::new(Plan::default());
    let mut future = call(&mut rig.service, Ask::Hold);
    assert!(poll_once(&mut future).is_pending());
    advance(SECOND).await;
    assert!(poll_once(&mut future).is_pending());
    assert_eq!((rig.sent(), rig.watch.instances()), (1, 1), "nothing is kept for it either");
    assert_eq!(call(&mut rig.service, Ask::Fail(1)).await, Err(Fault::Broken(1)));
    assert_eq!(rig.sent(), 2);
    let asked = rig.plan.asked();
    assert_eq!(asked, ["prepare", "clone", "1 of 1", "prepare", "clone", "1 of 1", "classify"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_prepared_once_and_each_attempt_is_marked_after_the_clone() {
    let mut rig = Rig::second(Ask::Answer(2));
    call(&mut rig.service, Ask::Hold).await.unwrap();
    let first = ["prepare", "clone", "1 of 2", "deadline"];
    assert_eq!(rig.plan.asked(), [&first[..], &["2 of 2", "classify"]].concat());
    call(&mut rig.service, Ask::Fail(1)).await.unwrap();
    let failed = ["classify", "may_resend", "hint", "2 of 2", "classify"];
    assert_eq!(rig.plan.asked(), [&first[..], &failed].concat());
}

#[test]
fn a_call_that_is_ready_at_once_needs_neither_timer_nor_runtime() {
    let layer = HedgeLayer::builder(Idempotent).delay(Delay::Fixed(MS)).build();
    let mut service = layer.layer(Mock::new());
    assert_eq!(poll_once(&mut call(&mut service, Ask::Answer(1))), Poll::Ready(Ok(1)));
    // The next one is not: that needs a timer.
    let mut pending = call(&mut service, Ask::Hold);
    let text = crate::support::panics(move || drop(poll_once(&mut pending)));
    assert!(text.contains("no reactor running"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_classifier_of_the_builder_judges_in_place_of_the_policy() {
    let judge = buttress::classify_fn(|outcome: Result<&u32, &Fault>| match outcome {
        Ok(1) => Class::Transient,
        Ok(_) => Class::Success,
        Err(_) => Class::Permanent,
    });
    let layer = HedgeLayer::builder(Plan::second(Ask::Answer(2)))
        .delay(Delay::Fixed(10 * MS))
        .classify(judge)
        .build();
    let mut service = layer.layer(Mock::new());
    assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(2));
    assert_eq!(call(&mut service, Ask::Fail(1)).await, Err(Fault::Broken(1)));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_beside_an_attempt_that_was_sent_says_that_the_service_was_called() {
    let open = Reason::CircuitOpen;
    let refused = Ask::Refuse(open);
    for (first, second, sent) in [
        (Ask::Fail(1), refused, true),
        (Ask::FailAfter(15 * MS, 1), Ask::RefuseAfter(10 * MS, open), true),
        (Ask::RefuseAfter(15 * MS, open), Ask::Fail(1), true),
        (Ask::RefuseAfter(15 * MS, open), refused, false),
        (Ask::RefuseAfter(15 * MS, open), Ask::RefuseAfter(10 * MS, open), false),
    ] {
        let mut rig = Rig::second(second);
        let Err(Fault::Rejected(refusal)) = call(&mut rig.service, first).await else {
            panic!("no refusal");
        };
        assert_eq!((refusal.reason(), refusal.was_dispatched()), (open, sent), "{first:?}");
    }
}
