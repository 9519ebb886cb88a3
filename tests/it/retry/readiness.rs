//! Which instance is called, when it is ready, and what becomes of a wait for it.

use super::*;
use crate::support::{Ask, Fault, Ledger, Mock, call as call_by_hand, poll_once, ready, refusal};
use buttress::classify_fn;
use buttress::observe::EventKind;
use buttress::retry::{Budget, Idempotent};

/// Requests for a [`Mock`], which all have this deadline.
#[derive(Clone, Copy, Debug)]
struct Due(Option<Deadline>);

impl<T, E> Policy<Ask, T, E> for Due {
    fn clone_request(&self, ask: &Ask) -> Option<Ask> {
        Some(*ask)
    }

    fn deadline(&self, _: &Ask) -> Option<Deadline> {
        self.0
    }
}

fn soon<P>(policy: P) -> Builder<P> {
    let backoff = Backoff::exponential(10 * MS, SECOND).jitter(Jitter::None);
    RetryLayer::builder(policy).backoff(backoff)
}

#[tokio::test(start_paused = true)]
async fn the_first_attempt_goes_to_the_instance_that_was_made_ready_and_others_to_fresh_ones() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = soon(Idempotent).build().layer(mock);
    ready(&mut service).call(Ask::Fail(1)).await.unwrap_err();
    let called = watch.called();
    assert_eq!(called.len(), 3);
    assert_eq!(called[0], 0);
    assert!(called[1] != 0 && called[2] != 0 && called[1] != called[2], "{called:?}");
    assert_eq!(watch.readied(), called, "each was made ready once, before its call");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_sent_again_clones_no_service() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = soon(Idempotent).max_attempts(1).build().layer(mock);
    ready(&mut service).call(Ask::Fail(1)).await.unwrap_err();
    assert_eq!(watch.instances(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_waits_for_readiness() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = soon(Idempotent).max_attempts(2).build().layer(mock);
    let call = tokio::spawn(ready(&mut service).call(Ask::Fail(1)));
    tokio::time::sleep(MS).await;
    watch.stall();
    tokio::time::sleep(SECOND).await;
    assert_eq!(watch.called().len(), 1, "not ready, not called");
    watch.unstall();
    call.await.unwrap().unwrap_err();
    assert_eq!(watch.called().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_readiness_ends_at_the_deadline() {
    let (mock, ledger) = (Mock::new(), Ledger::default());
    let watch = mock.watch();
    let budget = Budget::ratio(0.5).at_least(0);
    let policy = Due(Some(Deadline::after(300 * MS)));
    let layer = soon(policy).budget(budget.clone()).observe(ledger.clone()).build();
    let mut service = layer.layer(mock);
    for _ in 0..2 {
        ready(&mut service).call(Ask::Answer(1)).await.unwrap();
    }
    let before = budget.available();
    ledger.take("retry");
    let mut call = call_by_hand(&mut service, Ask::Fail(1));
    assert!(poll_once(&mut call).is_pending());
    watch.stall();
    let start = Instant::now();
    let refused = refusal((&mut call).await);
    assert_eq!(refused.reason(), Reason::DeadlineExceeded);
    assert!(refused.was_dispatched(), "the first attempt was");
    assert_eq!(start.elapsed(), 300 * MS);
    assert_eq!(ledger.take("retry").last(), Some(&EventKind::Rejected(Reason::DeadlineExceeded)));
    ledger.assert_settled();
    assert!((budget.available() - before - 0.5).abs() < 1e-9, "the retry was not sent: refunded");
    // The call is over, although its future is still there.
    assert_eq!(watch.alive(), 1, "and what it needed is gone");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_at_the_deadline_says_whether_an_attempt_before_it_was_sent() {
    for (first, sent) in [(Ask::Refuse(Reason::CircuitOpen), false), (Ask::Fail(1), true)] {
        let mock = Mock::new();
        let watch = mock.watch();
        let policy = Due(Some(Deadline::after(300 * MS)));
        let any_error = classify_fn(|_: Result<&u32, &Fault>| Class::Transient);
        let mut service = soon(policy).classify(any_error).build().layer(mock);
        let mut call = call_by_hand(&mut service, first);
        assert!(poll_once(&mut call).is_pending());
        watch.stall();
        let refused = refusal((&mut call).await);
        assert_eq!(refused.reason(), Reason::DeadlineExceeded);
        assert_eq!(refused.was_dispatched(), sent, "after {first:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_to_get_ready_is_tried_again_with_a_fresh_clone() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = soon(Idempotent).max_attempts(4).build().layer(mock);
    let call = tokio::spawn(ready(&mut service).call(Ask::Hold));
    tokio::time::sleep(MS).await;
    drop(call);
    let call = tokio::spawn(ready(&mut service).call(Ask::Fail(1)));
    tokio::time::sleep(MS).await;
    watch.fail_readiness(9);
    tokio::time::sleep(15 * MS).await;
    watch.unstall();
    let outcome = call.await.unwrap();
    assert_eq!(outcome, Err(Fault::Broken(1)));
    // Four attempts, of which one failed to get ready and was not sent.
    assert_eq!(watch.called().len(), 1 + 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_to_get_ready_is_the_outcome_where_no_attempt_is_left_and_is_refunded() {
    let mock = Mock::new();
    let watch = mock.watch();
    let budget = Budget::ratio(1.0).at_least(0);
    let layer = soon(Idempotent).max_attempts(2).budget(budget.clone()).build();
    let mut service = layer.layer(mock);
    let mut call = call_by_hand(&mut service, Ask::Fail(1));
    assert!(poll_once(&mut call).is_pending());
    assert!(budget.available() < 1.0, "paid for");
    watch.fail_readiness(9);
    assert_eq!((&mut call).await, Err(Fault::Broken(9)));
    assert!((budget.available() - 1.0).abs() < 1e-9, "and given back");
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_cancelled_before_it_is_sent_refunds_what_it_withdrew() {
    let mock = Mock::new();
    let watch = mock.watch();
    let budget = Budget::ratio(1.0).at_least(0);
    let layer = soon(Idempotent).budget(budget.clone()).build();
    let mut service = layer.layer(mock);
    // In the wait.
    let mut call = call_by_hand(&mut service, Ask::Fail(1));
    assert!(poll_once(&mut call).is_pending());
    assert!(budget.available() < 1.0);
    drop(call);
    assert!((budget.available() - 1.0).abs() < 1e-9);
    // In the wait for readiness.
    let mut call = call_by_hand(&mut service, Ask::Fail(1));
    assert!(poll_once(&mut call).is_pending());
    watch.stall();
    tokio::time::sleep(20 * MS).await;
    assert!(poll_once(&mut call).is_pending());
    assert!((budget.available() - 1.0).abs() < 1e-9, "two calls, one retry under way");
    drop(call);
    assert!((budget.available() - 2.0).abs() < 1e-9);
    assert_eq!(watch.called().len(), 2, "neither retry was sent");
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_cancelled_after_it_was_sent_is_paid_for() {
    let mock = Mock::new();
    let budget = Budget::ratio(1.0).at_least(0);
    let mut service = soon(Idempotent).budget(budget.clone()).build().layer(mock);
    let mut call = call_by_hand(&mut service, Ask::FailAfter(5 * MS, 1));
    assert!(poll_once(&mut call).is_pending());
    tokio::time::sleep(6 * MS).await;
    assert!(poll_once(&mut call).is_pending());
    tokio::time::sleep(12 * MS).await;
    assert!(poll_once(&mut call).is_pending(), "the second attempt runs");
    drop(call);
    assert!(budget.available().abs() < 1e-9);
}

/// Lets a request be sent again after its first failure, and after no other.
#[derive(Debug, Default)]
struct After1(std::sync::atomic::AtomicUsize);

impl<T, E> Policy<Ask, T, E> for After1 {
    fn clone_request(&self, ask: &Ask) -> Option<Ask> {
        Some(*ask)
    }

    fn may_resend(&self, _: &Ask, _: Result<&T, &E>) -> bool {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_to_get_ready_provably_was_not_sent_and_stays_as_fit_as_it_was() {
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = soon(After1::default()).max_attempts(5).build().layer(mock);
    let call = tokio::spawn(ready(&mut service).call(Ask::Fail(1)));
    tokio::time::sleep(MS).await;
    watch.fail_readiness(9);
    tokio::time::sleep(15 * MS).await;
    watch.unstall();
    // It was sent once more after that, and then the policy said no.
    assert_eq!(call.await.unwrap(), Err(Fault::Broken(1)));
    assert_eq!(watch.called().len(), 2);
}
