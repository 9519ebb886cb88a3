//! How many attempts there are, and after what.

use buttress::Rejectable;

use super::*;
use crate::support::poll_once;

#[tokio::test(start_paused = true)]
async fn max_attempts_counts_the_first_call() {
    for attempts in [1, 2, 3, 7] {
        let server = Server::says([Say::Fail(1)]);
        let layer = plain().max_attempts(attempts).build();
        assert_eq!(call(&layer, &server, Job::new("x")).await, Err(Error::Service(1)));
        assert_eq!(server.calls(), attempts as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn three_attempts_from_50_ms_on_are_the_default() {
    let server = Server::says([Say::Fail(1)]);
    let layer = RetryLayer::new(ForJobs::default());
    call(&layer, &server, Job::new("x")).await.unwrap_err();
    assert_eq!(server.calls(), 3);
    let pauses = server.pauses();
    // Timers round up to the next millisecond.
    assert!(pauses[0] <= 51 * MS && pauses[1] <= 101 * MS, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn transient_and_overload_are_tried_again_and_nothing_else() {
    let of = async |says: Say| {
        let server = Server::says([says, Say::Good(7)]);
        let _ = call(&plain().build(), &server, Job::new("x")).await;
        server.calls()
    };
    assert_eq!(of(Say::Fail(1)).await, 2);
    assert_eq!(of(Say::Busy(None)).await, 2);
    assert_eq!(of(Say::Refuse(Reason::TimedOut)).await, 2);
    assert_eq!(of(Say::Good(1)).await, 1);
    assert_eq!(of(Say::Wrong(1)).await, 1);
    assert_eq!(of(Say::Refuse(Reason::CircuitOpen)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_local_refusal_is_tried_again_only_if_the_policy_asks_for_it() {
    for reason in [Reason::CircuitOpen, Reason::BulkheadFull, Reason::DeadlineExceeded] {
        let script = [Say::Refuse(reason), Say::Good(1)];
        let server = Server::says(script.clone());
        let refused = call(&plain().build(), &server, Job::new("x")).await;
        assert_eq!(refused, Err(Rejected::new(reason).into()));
        let server = Server::says(script);
        let policy = ForJobs { refusals_too: true, ..ForJobs::default() };
        let answered = call(&retry(policy).build(), &server, Job::new("x")).await;
        assert_eq!(answered, Ok(Say::Good(1)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_classifier_of_the_builder_judges_in_place_of_the_policy() {
    let server = Server::says([Say::Wrong(4), Say::Good(1)]);
    let judge = buttress::classify_fn(|outcome: Result<&Answer, &Fault>| match outcome {
        Ok(Answer { says: Say::Wrong(_), .. }) => Class::Transient,
        _ => Class::Success,
    });
    let layer = plain().classify(judge).build();
    let answer = layer.layer(server.clone()).oneshot(Job::new("x")).await.unwrap();
    assert_eq!(answer.says, Say::Good(1));
    assert_eq!(server.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_questions_come_in_the_order_of_the_contract() {
    let policy = ForJobs::default();
    let server = Server::says([Say::Fail(1), Say::Good(1)]);
    call(&retry(policy.clone()).build(), &server, Job::new("x")).await.unwrap();
    let first = ["prepare", "clone", "mark", "classify", "may_resend", "hint", "deadline"];
    let second = ["clone", "mark", "classify"];
    assert_eq!(policy.asked(), [&first[..], &second[..]].concat());
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_does_not_clone_the_request() {
    for attempts in [1, 2, 5] {
        let policy = ForJobs::default();
        let server = Server::says([Say::Fail(1)]);
        let layer = retry(policy.clone()).max_attempts(attempts).build();
        call(&layer, &server, Job::new("x")).await.unwrap_err();
        assert_eq!(policy.clones(), attempts as usize - 1);
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_the_same_request_prepared_once_and_marked_with_its_number() {
    let server = Server::says([Say::Fail(1)]);
    call(&plain().build(), &server, Job::new("pay")).await.unwrap_err();
    for (index, (_, job)) in server.seen().into_iter().enumerate() {
        let attempt = job.attempt.unwrap();
        assert_eq!((attempt.number as usize, attempt.of), (index + 1, 3));
        assert_eq!(attempt.is_last(), index == 2);
        assert_eq!((job.text, job.stamp), ("pay", 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_sent_again_is_told_that_it_is_the_last_attempt() {
    let server = Server::says([Say::Fail(1)]);
    let job = Job { once: true, ..Job::new("x") };
    call(&plain().build(), &server, job).await.unwrap_err();
    let [(_, job)] = &server.seen()[..] else { panic!("one call") };
    assert_eq!(job.attempt, Some(Attempt::new(1, 1)));
}

#[tokio::test(start_paused = true)]
async fn the_discarded_response_is_dropped_before_the_wait() {
    let server = Server::says([Say::Busy(None), Say::Good(1)]);
    let mut service = plain().build().layer(server.clone());
    let mut future = Box::pin(service.ready().await.unwrap().call(Job::new("x")));
    assert!(poll_once(&mut future).is_pending(), "it waits");
    assert_eq!((server.calls(), server.answers_alive()), (1, 0));
    let answer = future.await.unwrap();
    assert_eq!((answer.says, server.answers_alive()), (Say::Good(1), 1));
}

#[tokio::test(start_paused = true)]
async fn a_success_after_a_failure_is_the_answer() {
    let server = Server::says([Say::Fail(1), Say::Busy(None), Say::Good(3)]);
    assert_eq!(call(&plain().build(), &server, Job::new("x")).await, Ok(Say::Good(3)));
}

#[tokio::test(start_paused = true)]
async fn two_calls_of_one_service_do_not_disturb_each_other() {
    let server = Server::says([Say::Fail(1), Say::Fail(2), Say::Good(1)]);
    let mut service = plain().build().layer(server.clone());
    let one = service.ready().await.unwrap().call(Job::new("one"));
    let two = service.ready().await.unwrap().call(Job::new("two"));
    let (one, two) = tokio::join!(one, two);
    assert_eq!((one.unwrap().says, two.unwrap().says), (Say::Good(1), Say::Good(1)));
    let mut texts: Vec<_> = server.seen().into_iter().map(|(_, job)| job.text).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["one", "one", "two", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_an_attempt_that_was_sent_says_that_the_service_was_called() {
    let judge = || {
        buttress::classify_fn(|outcome: Result<&Answer, &Fault>| match outcome {
            Ok(_) => Class::Success,
            Err(_) => Class::Transient,
        })
    };
    let open = Reason::CircuitOpen;
    for (script, sent) in [
        (vec![Say::Fail(1), Say::Refuse(open)], true),
        (vec![Say::Fail(1), Say::Refuse(open), Say::Refuse(open)], true),
        (vec![Say::Refuse(open), Say::Refuse(open)], false),
    ] {
        let server = Server::says(script.clone());
        let layer = plain().classify(judge()).build();
        let refusal = layer.layer(server).oneshot(Job::new("x")).await.unwrap_err();
        let refusal = refusal.rejected().expect("a refusal");
        assert_eq!((refusal.reason(), refusal.was_dispatched()), (open, sent), "{script:?}");
    }
}
