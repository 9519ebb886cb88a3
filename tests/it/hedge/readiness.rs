//! The instance that the second attempt goes through, and the deadline.

use buttress::observe::EventKind::{Hedged, Withheld};
use buttress::observe::Withheld as Why;
use tokio::time::{Instant, advance};
use tower::limit::ConcurrencyLimit;

use super::*;
use crate::support::{Hand, admitted, call, poll_once, settled};

#[tokio::test(start_paused = true)]
async fn the_readied_instance_serves_the_first_attempt_and_a_clone_the_second() {
    let mut rig = Rig::second(Ask::Answer(2));
    let mut future = call(&mut rig.service, Ask::Hold);
    assert!(poll_once(&mut future).is_pending());
    assert_eq!(rig.watch.readied(), [0], "the clone is made ready when its time comes");
    future.await.unwrap();
    assert_eq!((rig.watch.readied(), rig.watch.called()), (vec![0, 1], vec![0, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_pending_readiness_is_waited_for_beside_the_first_attempt() {
    let mut rig = Rig::second(Ask::Answer(2));
    let hand = Hand::new();
    let mut future = call(&mut rig.service, Ask::Hold);
    rig.watch.stall();
    assert!(hand.poll(&mut future).is_pending());
    advance(10 * MS).await;
    assert!(hand.poll(&mut future).is_pending());
    hand.woken();
    rig.watch.unstall();
    assert!(hand.woken() > 0);
    assert_eq!(rig.sent(), 1);
    assert!(hand.poll(&mut future).is_ready());
    assert_eq!(rig.sent(), 2);
    // The first attempt may end meanwhile.
    let mut future = call(&mut rig.service, Ask::Hold);
    rig.watch.stall();
    assert!(hand.poll(&mut future).is_pending());
    advance(10 * MS).await;
    assert!(hand.poll(&mut future).is_pending());
    hand.woken();
    rig.watch.let_go();
    assert!(hand.woken() > 0);
    assert_eq!(future.await, Ok(0));
    assert_eq!((rig.sent(), rig.watch.alive()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_the_first_attempt_fills_holds_the_second_back() {
    let mock = Mock::new();
    let watch = mock.watch();
    let rig = Rig::second(Ask::Answer(2));
    let mut service = rig.layer.layer(ConcurrencyLimit::new(mock, 1));
    assert_eq!(call(&mut service, Ask::After(30 * MS, 1)).await, Ok(1));
    assert_eq!((watch.called().len(), watch.most_replies()), (1, 1));
    // Once it has failed, there is room.
    assert_eq!(call(&mut service, Ask::FailAfter(30 * MS, 7)).await, Ok(2));
    assert_eq!((watch.called().len(), watch.most_replies()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_while_the_second_gets_ready_waits_for_it() {
    let mut rig = Rig::second(Ask::Answer(2));
    let hand = Hand::new();
    let mut future = call(&mut rig.service, Ask::FailAfter(20 * MS, 7));
    rig.watch.stall();
    assert!(hand.poll(&mut future).is_pending());
    advance(10 * MS).await;
    assert!(hand.poll(&mut future).is_pending());
    advance(10 * MS).await;
    assert!(hand.poll(&mut future).is_pending());
    assert_eq!(rig.watch.replies(), 0);
    rig.watch.unstall();
    assert!(hand.woken() > 0);
    assert_eq!(future.await, Ok(2));
    assert_eq!(rig.told(), [admitted(), Hedged, settled(Class::Success)]);
    // Not if the server says stop, though its time has come.
    let mut future = call(&mut rig.service, Ask::FailAfter(20 * MS, STOP));
    rig.watch.stall();
    assert!(poll_once(&mut future).is_pending());
    advance(10 * MS).await;
    assert!(poll_once(&mut future).is_pending());
    assert_eq!(future.await, Err(Fault::Broken(STOP)));
    assert_eq!(rig.told(), [admitted(), Withheld(Why::Stopped), settled(Class::Transient)]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_fails_to_get_ready_is_given_up() {
    // The first attempt is waited for.
    let mut rig = Rig::second(Ask::Answer(2));
    let mut future = call(&mut rig.service, Ask::After(30 * MS, 1));
    rig.watch.fail_readiness(9);
    assert!(poll_once(&mut future).is_pending());
    assert_eq!(future.await, Ok(1));
    assert_eq!(rig.told(), [admitted(), Withheld(Why::Request), settled(Class::Success)]);
    assert_eq!(rig.sent(), 1);
    // Its failure is the answer, and not that of the instance.
    let mut rig = Rig::second(Ask::Answer(2));
    let mut future = call(&mut rig.service, Ask::Fail(7));
    rig.watch.fail_readiness(9);
    assert_eq!((&mut future).await, Err(Fault::Broken(7)));
    assert_eq!((rig.sent(), rig.watch.alive()), (1, 1));
    assert_eq!(rig.told(), [admitted(), Withheld(Why::Request), settled(Class::Transient)]);
}

fn until(deadline: Duration) -> Rig {
    let deadline = Some(Deadline::after(deadline));
    Rig::new(Plan { deadline, ..Plan::second(Ask::After(MS, 2)) })
}

#[tokio::test(start_paused = true)]
async fn no_second_attempt_is_sent_at_or_after_the_deadline() {
    for (left, sent) in [(9, 1), (10, 1), (11, 2), (900, 2)] {
        let mut rig = until(left * MS);
        assert!(call(&mut rig.service, Ask::After(30 * MS, 1)).await.is_ok());
        assert_eq!(rig.sent(), sent, "{left} ms");
        assert_eq!(rig.watch.readied().len(), sent, "nothing is made ready in vain");
        let why = if sent == 1 { Withheld(Why::Deadline) } else { Hedged };
        assert_eq!(rig.told(), [admitted(), why, settled(Class::Success)]);
    }
    // Nor after a failure.
    for (left, sent) in [(4, 1), (5, 1), (6, 2)] {
        let mut rig = until(left * MS);
        let _ = call(&mut rig.service, Ask::FailAfter(5 * MS, 7)).await;
        assert_eq!(rig.sent(), sent, "{left} ms");
    }
    // A failure before the delay and the deadline starts one.
    let mut rig = until(8 * MS);
    assert_eq!(call(&mut rig.service, Ask::FailAfter(5 * MS, 7)).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_is_let_go_at_the_deadline() {
    let mut rig = until(5 * MS);
    let mut future = call(&mut rig.service, Ask::Hold);
    for alive in [2, 1] {
        assert!(poll_once(&mut future).is_pending());
        assert_eq!(rig.watch.alive(), alive);
        advance(5 * MS).await;
    }
    assert_eq!(rig.told(), [admitted(), Withheld(Why::Deadline)]);
}

#[tokio::test(start_paused = true)]
async fn no_second_attempt_is_sent_if_its_instance_is_ready_after_the_deadline_only() {
    // The deadline wakes whoever waits, and the failure of the first attempt is the answer.
    let mut rig = until(20 * MS);
    let start = Instant::now();
    let mut future = call(&mut rig.service, Ask::FailAfter(5 * MS, 7));
    rig.watch.stall();
    assert_eq!((&mut future).await, Err(Fault::Broken(7)));
    assert_eq!((rig.sent(), start.elapsed()), (1, 20 * MS));
    let told = [admitted(), Withheld(Why::Deadline), settled(Class::Transient)];
    assert_eq!(rig.told(), told);
    // One that gets ready too late, in the same poll as the timer.
    let mut rig = until(20 * MS);
    let mut future = call(&mut rig.service, Ask::After(40 * MS, 1));
    rig.watch.stall();
    for _ in 0..2 {
        assert!(poll_once(&mut future).is_pending());
        advance(10 * MS).await;
    }
    rig.watch.unstall();
    assert_eq!(future.await, Ok(1));
    assert_eq!(rig.sent(), 1);
    assert_eq!(rig.told()[1], Withheld(Why::Deadline));
}
