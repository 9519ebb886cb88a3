//! The budget as the callers of a layer see it.

use super::*;
use crate::support::poll_once;
use buttress::retry::Budget;

/// Retries of `calls` calls, of which every `nth` fails, over a minute.
async fn retries(budget: Budget, calls: u32, nth: u32) -> f64 {
    let server = Server::says([Say::Fail(1)]);
    let well = Server::says([Say::Good(1)]);
    let layer = plain().delays(|| [Duration::ZERO; 9]).max_attempts(5).budget(budget).build();
    for number in 0..calls {
        let to = if number % nth == 0 { &server } else { &well };
        let _ = call(&layer, to, Job::new("x")).await;
        tokio::time::advance(Duration::from_secs(60) / calls).await;
    }
    let failing = calls.div_ceil(nth);
    f64::from(u32::try_from(server.calls()).unwrap() - failing)
}

#[tokio::test(start_paused = true)]
async fn retries_per_original_are_the_ratio_whatever_fails() {
    for ratio in [0.1, 0.2, 0.3, 0.4, 0.6, 0.75, 1.0, 1.5] {
        for nth in [1, 2, 5] {
            let budget = Budget::ratio(ratio).at_least(0);
            let (calls, wanted) = (10_000, 4.0 / f64::from(nth));
            let expected = 10_000.0 * ratio.min(wanted);
            let found = retries(budget, calls, nth).await;
            assert!((found / expected - 1.0).abs() < 0.01, "{ratio}, 1 of {nth}: {found}");
        }
    }
}

#[test]
fn retries_per_original_are_the_ratio_from_eight_threads_as_well() {
    for ratio in [0.1, 0.2, 0.3, 0.4, 0.6, 0.75, 1.0, 1.5] {
        for nth in [1, 2] {
            let budget = Budget::ratio(ratio);
            let layer =
                plain().delays(|| [Duration::ZERO; 9]).max_attempts(5).budget(budget).build();
            let (down, well) = (Server::says([Say::Fail(1)]), Server::says([Say::Good(1)]));
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for number in 0..1_250 {
                            let to = if number % nth == 0 { &down } else { &well };
                            let call = layer.layer(to.clone()).oneshot(Job::new("x"));
                            // Without a delay there is nothing to wait for.
                            assert!(poll_once(&mut Box::pin(call)).is_ready());
                        }
                    });
                }
            });
            let failing = 10_000 / nth;
            let retries = f64::from(u32::try_from(down.calls()).unwrap() - failing);
            // The floor of one window; the run takes far less than one.
            let expected = (10_000.0 * ratio + 100.0).min(4.0 * f64::from(failing));
            let difference = (retries / expected - 1.0).abs();
            assert!(difference < 0.01, "{ratio}, 1 of {nth}: {retries} of {expected}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_floor_comes_on_top() {
    let found = retries(Budget::ratio(0.1).at_least(1), 10_000, 1).await;
    // 1 a second for a minute; that of the first window is there from the start.
    assert!((found - (1_000.0 + 60.0)).abs() <= 0.01 * 1_000.0 + 10.0, "{found}");
}

#[tokio::test(start_paused = true)]
async fn after_ten_windows_of_healthy_traffic_an_outage_gets_no_more_than_one_window_s_worth() {
    let budget = Budget::ratio(0.2).at_least(0);
    let layer = plain().delays(|| [Duration::ZERO]).max_attempts(2).budget(budget.clone()).build();
    let (well, down) = (Server::says([Say::Good(1)]), Server::says([Say::Fail(1)]));
    for _ in 0..10_000 {
        call(&layer, &well, Job::new("x")).await.unwrap();
        tokio::time::advance(10 * MS).await;
    }
    // 1,000 calls in the last 10 s.
    assert!((190.0..=201.0).contains(&budget.available()), "{}", budget.available());
    for _ in 0..500 {
        call(&layer, &down, Job::new("x")).await.unwrap_err();
    }
    let retries = down.calls() - 500;
    assert!((285..=301).contains(&retries), "0.2 * (1,000 + 500), but {retries}");
}

#[tokio::test(start_paused = true)]
async fn one_budget_serves_all_layers_that_it_is_given_to() {
    let budget = Budget::ratio(0.5).at_least(0);
    let down = Server::says([Say::Fail(1)]);
    let one = plain().budget(budget.clone()).build();
    let two = plain().budget(budget).build();
    for layer in [&one, &two, &one, &two] {
        call(layer, &down, Job::new("x")).await.unwrap_err();
    }
    assert_eq!(down.calls(), 4 + 2);
    assert!(one.budget().available().abs() < 1e-9 && two.budget().available().abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn clones_and_services_of_one_layer_share_its_budget() {
    let layer = plain().budget(Budget::ratio(0.5).at_least(0)).build();
    let down = Server::says([Say::Fail(1)]);
    for layer in [layer.clone(), layer.clone(), layer.clone(), layer] {
        call(&layer, &down, Job::new("x")).await.unwrap_err();
    }
    assert_eq!(down.calls(), 4 + 2);
}

#[tokio::test(start_paused = true)]
async fn in_flight_lets_a_share_of_the_calls_in_flight_be_retries() {
    let layer = plain().budget(Budget::in_flight(0.2).at_least(3)).max_attempts(2).build();
    let down = Server::says([Say::Fail(1)]);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let service = layer.layer(down.clone());
        calls.spawn(service.oneshot(Job::new("x")));
    }
    while calls.join_next().await.is_some() {}
    // The first 15 are in flight alone until 3 of them wait for their retry, and so on: those that
    // gave up no longer count.
    let retries = down.calls() - 100;
    assert_eq!(retries, 3, "whoever gives up leaves fewer in flight than the floor allows for");

    let hold = plain().budget(Budget::in_flight(0.2).at_least(0)).max_attempts(2).build();
    let slow = tower::service_fn(|_: Job| async {
        tokio::time::sleep(SECOND).await;
        Err::<Answer, _>(Error::Service(1))
    });
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        calls.spawn(hold.layer(slow).oneshot(Job::new("x")));
    }
    let start = Instant::now();
    while calls.join_next().await.is_some() {}
    assert!(start.elapsed() > 2 * SECOND, "some were retried");
    assert!(hold.budget().available().abs() < 1e-9, "nobody is in flight");
}

#[tokio::test(start_paused = true)]
async fn tokens_allow_retries_only_above_half() {
    let layer = plain().budget(Budget::tokens(10, 0.1)).max_attempts(2).build();
    let (well, down) = (Server::says([Say::Good(1)]), Server::says([Say::Fail(1)]));
    // Every failed attempt costs 1: 9, 8 | 7, 6 | 5: half is not above half.
    for _ in 0..10 {
        call(&layer, &down, Job::new("x")).await.unwrap_err();
    }
    assert_eq!(down.calls(), 10 + 2);
    // Empty by now. 60 successes make 6; the next failure leaves 5.
    for _ in 0..60 {
        call(&layer, &well, Job::new("x")).await.unwrap();
    }
    call(&layer, &down, Job::new("x")).await.unwrap_err();
    assert_eq!(down.calls(), 10 + 2 + 1);
    for _ in 0..20 {
        call(&layer, &well, Job::new("x")).await.unwrap();
    }
    call(&layer, &down, Job::new("x")).await.unwrap_err();
    assert_eq!(down.calls(), 10 + 2 + 1 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_has_ended_makes_room_for_the_next_one_of_the_same_call() {
    let layer = plain().budget(Budget::in_flight(0.0001).at_least(1)).build();
    let down = Server::says([Say::Fail(1)]);
    call(&layer, &down, Job::new("x")).await.unwrap_err();
    assert_eq!(down.calls(), 3);
    assert!((layer.budget().available() - 1.0).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_is_no_longer_in_flight() {
    let layer = plain().budget(Budget::in_flight(1.0).at_least(0)).build();
    let hang = tower::service_fn(|_: Job| std::future::pending::<Result<Answer, Fault>>());
    let mut calls: Vec<_> =
        (0..4).map(|_| Box::pin(layer.layer(hang).oneshot(Job::new("x")))).collect();
    for call in &mut calls {
        assert!(poll_once(call).is_pending());
    }
    assert!((layer.budget().available() - 4.0).abs() < 1e-9);
    drop(calls);
    assert!(layer.budget().available().abs() < 1e-9);
}
