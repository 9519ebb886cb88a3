//! The ways of giving up: in each, the caller gets the last outcome untouched.

use super::*;
use crate::support::Ledger;
use buttress::observe::{EventKind, Withheld};
use buttress::retry::Budget;

/// What a call comes to that is given up: its outcome, the calls that were made, and why.
async fn outcome(
    builder: Builder<ForJobs>,
    script: impl IntoIterator<Item = Say>,
    job: Job,
) -> (Result<Say, Fault>, usize, Vec<Withheld>, Duration) {
    let (server, ledger) = (Server::says(script), Ledger::default());
    let layer = builder.observe(ledger.clone()).build();
    let start = Instant::now();
    let outcome = call(&layer, &server, job).await;
    let why = ledger.take("retry").into_iter().filter_map(|kind| match kind {
        EventKind::Withheld(why) => Some(why),
        _ => None,
    });
    (outcome, server.calls(), why.collect(), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn no_attempts_left() {
    let (outcome, calls, why, _) =
        outcome(plain(), [Say::Fail(1), Say::Fail(2), Say::Fail(3)], Job::new("x")).await;
    assert_eq!(outcome, Err(Error::Service(3)));
    assert_eq!((calls, why), (3, vec![Withheld::Attempts]));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_must_not_be_sent_twice() {
    let job = Job { once: true, ..Job::new("x") };
    let (outcome, calls, why, took) = outcome(plain(), [Say::Busy(None)], job).await;
    assert_eq!(outcome, Ok(Say::Busy(None)));
    assert_eq!((calls, why, took), (1, vec![Withheld::Request], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_can_no_longer_be_sent_again() {
    let (outcome, calls, why, took) =
        outcome(plain(), [Say::Lost, Say::Good(1)], Job::new("x")).await;
    assert_eq!(outcome, Ok(Say::Lost));
    assert_eq!((calls, why, took), (1, vec![Withheld::Request], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_stop() {
    let (outcome, calls, why, took) =
        outcome(plain(), [Say::Stop, Say::Good(1)], Job::new("x")).await;
    assert_eq!(outcome, Ok(Say::Stop));
    assert_eq!((calls, why, took), (1, vec![Withheld::Stopped], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_before_the_backoff_is_over() {
    let job = Job::due(Deadline::after(250 * MS));
    let (outcome, calls, why, took) =
        outcome(plain(), [Say::Fail(1), Say::Fail(2), Say::Good(1)], job).await;
    // 100 ms fit, 100 + 200 do not: it returns at 100 and not at 250.
    assert_eq!(outcome, Err(Error::Service(2)));
    assert_eq!((calls, why, took), (2, vec![Withheld::Deadline], 100 * MS));
}

#[tokio::test(start_paused = true)]
async fn a_hint_longer_than_the_deadline() {
    let job = Job::due(Deadline::after(30 * SECOND));
    let says = Say::Busy(Some(31 * SECOND));
    let (busy, calls, why, took) = outcome(plain(), [says.clone()], job).await;
    assert_eq!(busy, Ok(says));
    assert_eq!((calls, why, took), (1, vec![Withheld::Deadline], Duration::ZERO));

    let job = Job::due(Deadline::after(30 * SECOND));
    let says = Say::PushBack(31 * SECOND);
    let (pushed_back, calls, why, took) = outcome(plain(), [says.clone()], job).await;
    assert_eq!(pushed_back, Ok(says));
    assert_eq!((calls, why, took), (1, vec![Withheld::Deadline], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_spent() {
    let budget = Budget::ratio(0.0001).at_least(0);
    let (outcome, calls, why, took) =
        outcome(plain().budget(budget), [Say::Busy(None)], Job::new("x")).await;
    assert_eq!(outcome, Ok(Say::Busy(None)));
    assert_eq!((calls, why, took), (1, vec![Withheld::Budget], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn delays_that_have_come_to_their_end() {
    let builder = plain().max_attempts(9).delays(|| [5 * MS, 7 * MS]);
    let (outcome, calls, why, took) = outcome(builder, [Say::Fail(6)], Job::new("x")).await;
    assert_eq!(outcome, Err(Error::Service(6)));
    assert_eq!((calls, why, took), (3, vec![Withheld::Attempts], 12 * MS));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_is_not_one_to_try_again_tells_no_reason() {
    for (says, expected) in [
        (Say::Wrong(4), Ok(Say::Wrong(4))),
        (Say::Good(4), Ok(Say::Good(4))),
        (Say::Refuse(Reason::CircuitOpen), Err(Rejected::new(Reason::CircuitOpen).into())),
    ] {
        let (outcome, calls, why, took) = outcome(plain(), [says], Job::new("x")).await;
        assert_eq!(outcome, expected);
        assert_eq!((calls, why, took), (1, vec![], Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_at_the_very_end_of_the_delay_needs_no_wait_to_be_found_too_early() {
    // No attempt starts at its deadline, so the caller gets the outcome, at once, and untouched.
    let plain = || plain().min_attempt(Duration::ZERO);
    let job = Job::due(Deadline::after(100 * MS));
    let (failed, calls, why, took) = outcome(plain(), [Say::Fail(1)], job).await;
    assert_eq!(failed, Err(Error::Service(1)));
    assert_eq!((calls, why, took), (1, vec![Withheld::Deadline], Duration::ZERO));

    let at_once = plain().delays(|| [Duration::ZERO]);
    let job = Job::due(Deadline::after(Duration::ZERO));
    let (failed, calls, why, _) = outcome(at_once, [Say::Fail(1)], job).await;
    assert_eq!(failed, Err(Error::Service(1)));
    assert_eq!((calls, why), (1, vec![Withheld::Deadline]));
}
