//! What second attempts are paid from.

use buttress::observe::EventKind::{Abandoned, Hedged, Withheld};
use buttress::observe::{Observe, Withheld as Why};
use tokio::time::advance;

use super::*;
use crate::support::{admitted, call, poll_once, settled};

/// Ten tokens, and as good as nothing for each call.
fn ten() -> Budget {
    Budget::ratio(0.0001).at_least(1)
}

fn none() -> Budget {
    Budget::ratio(0.0001).at_least(0)
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_leaves_the_first_attempt_alone() {
    let mut rig = Rig::with(Plan::second(Ask::Answer(2)), |builder| builder.budget(none()));
    assert_eq!(call(&mut rig.service, Ask::After(30 * MS, 1)).await, Ok(1));
    let told = [admitted(), Withheld(Why::Budget), settled(Class::Success)];
    assert_eq!((rig.sent(), rig.told()), (1, told.to_vec()));
    // Nor does a failure start one: the caller gets it untouched.
    assert_eq!(call(&mut rig.service, Ask::Fail(7)).await, Err(Fault::Broken(7)));
    let told = [admitted(), Withheld(Why::Budget), settled(Class::Transient)];
    assert_eq!((rig.sent(), rig.told()), (2, told.to_vec()));
    // One whose time came in vain gets no second chance.
    let mut rig = Rig::with(Plan::second(Ask::Answer(2)), |builder| builder.budget(none()));
    let failed = call(&mut rig.service, Ask::FailAfter(30 * MS, 7)).await;
    assert_eq!((failed, rig.sent()), (Err(Fault::Broken(7)), 1));
    assert_eq!(rig.told().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn each_second_attempt_takes_one_when_its_time_comes_and_not_before() {
    let mut rig = Rig::with(Plan::second(Ask::Answer(2)), |builder| builder.budget(ten()));
    for left in (0..10).rev() {
        let mut future = call(&mut rig.service, Ask::Hold);
        assert!(poll_once(&mut future).is_pending());
        advance(9 * MS).await;
        assert!(poll_once(&mut future).is_pending());
        assert_eq!(tokens(rig.layer.budget()), left + 1);
        assert_eq!(future.await, Ok(2));
        assert_eq!(tokens(rig.layer.budget()), left);
    }
    rig.told();
    let mut future = call(&mut rig.service, Ask::Hold);
    assert!(poll_once(&mut future).is_pending());
    advance(SECOND).await;
    assert!(poll_once(&mut future).is_pending());
    assert_eq!(rig.told(), [admitted(), Withheld(Why::Budget)]);
    assert_eq!(rig.sent(), 21);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_not_sent_is_given_back() {
    // The instance never gets ready, and the first attempt wins.
    let mut rig = Rig::with(Plan::second(Ask::Answer(2)), |builder| builder.budget(ten()));
    let mut future = call(&mut rig.service, Ask::After(30 * MS, 1));
    rig.watch.stall();
    assert!(poll_once(&mut future).is_pending());
    advance(10 * MS).await;
    assert!(poll_once(&mut future).is_pending());
    assert_eq!(tokens(rig.layer.budget()), 9);
    assert_eq!(future.await, Ok(1));
    assert_eq!((tokens(rig.layer.budget()), rig.sent()), (10, 1));
    // Or the call is dropped.
    rig.watch.unstall();
    let mut future = call(&mut rig.service, Ask::Hold);
    rig.watch.stall();
    assert!(poll_once(&mut future).is_pending());
    advance(10 * MS).await;
    assert!(poll_once(&mut future).is_pending());
    assert_eq!(tokens(rig.layer.budget()), 9);
    drop(future);
    assert_eq!(tokens(rig.layer.budget()), 10);
    rig.ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn each_call_deposits_once_whatever_it_sends() {
    let budget = Budget::ratio(0.5).at_least(0);
    let mut rig = Rig::with(Plan::second(Ask::Answer(2)), |builder| builder.budget(budget));
    for _ in 0..1000 {
        call(&mut rig.service, Ask::Answer(1)).await.unwrap();
    }
    let before = tokens(rig.layer.budget());
    assert!((490..=500).contains(&before), "{before}");
    // 100 calls deposit 50 and take 100.
    for _ in 0..100 {
        call(&mut rig.service, Ask::Fail(1)).await.unwrap();
    }
    let after = tokens(rig.layer.budget());
    assert!((440..=450).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn over_any_time_second_attempts_stay_within_the_ratio_though_all_calls_are_slow() {
    let budget = Budget::ratio(0.1).at_least(0);
    let mut rig = Rig::with(Plan::second(Ask::Answer(2)), |builder| builder.budget(budget));
    for _ in 0..2000 {
        call(&mut rig.service, Ask::After(11 * MS, 1)).await.unwrap();
    }
    let extra = rig.sent() - 2000;
    assert!((150..=200).contains(&extra), "{extra}");
}

#[tokio::test(start_paused = true)]
async fn a_budget_in_flight_is_held_until_the_second_attempt_is_over_and_no_longer() {
    let budget = || Budget::in_flight(0.0001).at_least(1);
    let mut rig = Rig::with(Plan::second(Ask::Hold), |builder| builder.budget(budget()));
    let mut first = call(&mut rig.service, Ask::After(30 * MS, 1));
    let mut other = call(&mut rig.service, Ask::After(30 * MS, 1));
    for future in [&mut first, &mut other] {
        assert!(poll_once(future).is_pending());
    }
    assert_eq!(tokens(rig.layer.budget()), 1);
    advance(10 * MS).await;
    for future in [&mut first, &mut other] {
        assert!(poll_once(future).is_pending());
    }
    assert_eq!((rig.sent(), tokens(rig.layer.budget())), (3, 0));
    assert_eq!(rig.told()[2..], [Hedged, Withheld(Why::Budget)]);
    assert_eq!(first.await, Ok(1));
    assert_eq!(tokens(rig.layer.budget()), 1, "the loser is gone");
    drop(other);
    assert_eq!(rig.told().last(), Some(&Abandoned));
}

#[tokio::test(start_paused = true)]
async fn a_budget_in_flight_is_free_again_when_the_second_attempt_has_won() {
    let budget = Budget::in_flight(0.0001).at_least(1);
    let mut rig = Rig::with(Plan::second(Ask::Answer(2)), |builder| builder.budget(budget));
    let mut future = call(&mut rig.service, Ask::Hold);
    assert_eq!((&mut future).await, Ok(2));
    assert_eq!(tokens(rig.layer.budget()), 1, "though the future is still there");
    drop(future);
    assert_eq!(tokens(rig.layer.budget()), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_leave_the_budget_however_they_end() {
    let budget = Budget::in_flight(1.0).at_least(0);
    let mut rig = Rig::with(Plan::second(Ask::Answer(2)), |builder| builder.budget(budget));
    let mut held = call(&mut rig.service, Ask::Hold);
    assert_eq!(tokens(rig.layer.budget()), 1);
    assert!(poll_once(&mut held).is_pending());
    drop(held);
    assert_eq!(tokens(rig.layer.budget()), 0);
    for ask in [Ask::PanicInCall, Ask::PanicInPoll, Ask::Fail(HOPELESS)] {
        crate::support::panics(|| drop(poll_once(&mut call(&mut rig.service, ask))));
        assert_eq!(tokens(rig.layer.budget()), 0, "{ask:?}");
    }
    call(&mut rig.service, Ask::Fail(1)).await.unwrap();
    assert_eq!(tokens(rig.layer.budget()), 0);
}

#[tokio::test(start_paused = true)]
async fn both_attempts_are_judged_for_a_budget_of_tokens() {
    let budget = Budget::tokens(10, 1.0);
    let mut rig = Rig::with(Plan::second(Ask::Fail(2)), |builder| builder.budget(budget.clone()));
    let full = tokens(&budget);
    call(&mut rig.service, Ask::Fail(1)).await.unwrap_err();
    assert_eq!(full - tokens(&budget), 2);
    call(&mut rig.service, Ask::Answer(1)).await.unwrap();
    assert_eq!(full - tokens(&budget), 1);
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_shared_by_its_clones_and_by_all_services_of_the_layer() {
    let budget = ten();
    let rig = |ask| Rig::with(Plan::second(ask), |builder| builder.budget(budget.clone()));
    let (mut one, other) = (rig(Ask::Answer(1)), rig(Ask::Answer(2)));
    for _ in 0..5 {
        call(&mut one.service, Ask::Fail(7)).await.unwrap();
        call(&mut one.layer.layer(Mock::new()), Ask::Answer(7)).await.unwrap();
        call(&mut other.service.clone(), Ask::Fail(7)).await.unwrap();
    }
    assert_eq!(tokens(&budget), 0);
    call(&mut one.layer.layer(Mock::new()), Ask::Fail(7)).await.unwrap_err();
    assert_eq!(other.told().len(), 15);
}

#[tokio::test(start_paused = true)]
async fn observers_learn_what_is_left_after_each_ask() {
    #[derive(Clone, Debug, Default)]
    struct Gauge(Arc<Mutex<Vec<u32>>>);
    impl Observe for Gauge {
        fn on_event(&self, _: &Event<'_>) {}
        fn on_budget(&self, tokens: f64) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            self.0.lock().unwrap().push(tokens as u32);
        }
    }
    let gauge = Gauge::default();
    let budget = Budget::in_flight(0.0001).at_least(2);
    let mut rig =
        Rig::with(Plan::second(Ask::Hold), |builder| builder.budget(budget).observe(gauge.clone()));
    let mut futures: Vec<_> = (0..3).map(|_| call(&mut rig.service, Ask::Fail(1))).collect();
    for future in &mut futures {
        let _ = poll_once(future);
    }
    assert_eq!(*gauge.0.lock().unwrap(), [1, 0, 0]);
}
