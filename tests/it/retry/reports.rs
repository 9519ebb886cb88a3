//! What a retry tells, and what it refuses to be built with.

use super::*;
use crate::support::{Ledger, admitted, panics, settled};
use buttress::observe::{EventKind, Withheld};
use buttress::retry::{Budget, Config, Idempotent};

#[tokio::test(start_paused = true)]
async fn a_retry_is_told_when_it_is_sent_with_its_number_and_its_delay() {
    let (server, ledger) =
        (Server::says([Say::Fail(1), Say::Fail(2), Say::Good(1)]), Ledger::default());
    let layer = plain().observe(ledger.clone()).build();
    call(&layer, &server, Job::new("x")).await.unwrap();
    let expected = [
        admitted(),
        EventKind::Retried { attempt: 2, delay: 100 * MS },
        EventKind::Retried { attempt: 3, delay: 200 * MS },
        settled(Class::Success),
    ];
    assert_eq!(ledger.take("retry"), expected);
    ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn what_is_withheld_is_told_before_the_call_settles() {
    let (server, ledger) = (Server::says([Say::Stop]), Ledger::default());
    let layer = plain().observe(ledger.clone()).build();
    call(&layer, &server, Job::new("x")).await.unwrap();
    let expected = [admitted(), EventKind::Withheld(Withheld::Stopped), settled(Class::Transient)];
    assert_eq!(ledger.take("retry"), expected);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_cancelled_in_its_wait_is_not_told_as_sent() {
    let (server, ledger) = (Server::says([Say::Fail(1)]), Ledger::default());
    let layer = plain().observe(ledger.clone()).build();
    let call = call(&layer, &server, Job::new("x"));
    tokio::time::timeout(50 * MS, call).await.unwrap_err();
    assert_eq!(ledger.take("retry"), [admitted(), EventKind::Abandoned]);
    ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn the_latency_is_that_of_the_whole_call() {
    let told = Arc::new(Mutex::new(None));
    let note = told.clone();
    let layer = plain()
        .observe(move |event: &buttress::observe::Event<'_>| {
            if let EventKind::Settled { latency, .. } = event.kind {
                *note.lock().unwrap() = Some((event.name.to_owned(), latency));
            }
        })
        .build();
    call(&layer, &Server::says([Say::Fail(1), Say::Good(1)]), Job::new("x")).await.unwrap();
    assert_eq!(*told.lock().unwrap(), Some(("retry".to_owned(), 100 * MS)));
}

#[test]
fn nonsense_is_refused_by_try_build_and_build_panics_with_the_same_text() {
    let refuses = |bad: fn(Builder<Idempotent>) -> Builder<Idempotent>, text: &str| {
        let builder = || bad(RetryLayer::builder(Idempotent));
        let error = builder().try_build().unwrap_err().to_string();
        assert!(error.starts_with(text), "{error}");
        assert_eq!(panics(|| builder().build()), error);
    };
    refuses(|b| b.max_attempts(0), "retry.max_attempts is 0, allowed is 1 or more");
    let crossed = |b: Builder<_>| b.backoff(Backoff::exponential(2 * SECOND, SECOND));
    refuses(crossed, "retry.backoff.base is 2s, allowed is at most the cap");
    let least = |b: Builder<_>| b.backoff(Backoff::exponential(MS, SECOND).at_least(2 * SECOND));
    refuses(least, "retry.backoff.at_least is 2s, allowed is at most the cap");
    refuses(|b| b.budget(Budget::ratio(f64::NAN)), "budget.ratio is NaN, ");
    refuses(|b| b.budget(Budget::ratio(0.2).per(Duration::ZERO)), "budget.per is 0ns, ");
    assert!(RetryLayer::builder(Idempotent).max_attempts(u32::MAX).try_build().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_config_builds_the_same_retry() {
    let mut config = Config::default();
    config.max_attempts = 2;
    config.backoff = Backoff::exponential(30 * MS, SECOND).jitter(Jitter::None);
    config.name = Some("prices".to_owned());
    let server = Server::says([Say::Fail(1)]);
    let layer = RetryLayer::from_config(ForJobs::default(), config.clone()).unwrap();
    call(&layer, &server, Job::new("x")).await.unwrap_err();
    assert_eq!(server.pauses(), [30 * MS]);
    config.max_attempts = 0;
    let error = RetryLayer::from_config(ForJobs::default(), config).unwrap_err();
    assert_eq!(error.setting(), "retry.max_attempts");
}

#[test]
fn everything_public_can_be_shown() {
    let layer = plain().build();
    let service = layer.layer(Server::says([Say::Good(1)]));
    let shown = format!("{layer:?} {service:?} {:?} {:?}", plain(), layer.budget());
    assert!(shown.contains("max_attempts: 3"), "{shown}");
    assert_eq!(Attempt::new(2, 3).to_string(), "2 of 3");
}
