//! Budgets as the layers use them.

#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)] // Small numbers.

use std::time::Duration;

use crate::budget::{Budget, BudgetConfig, Withdrawal};
use crate::classify::Class;
use crate::rng::Rng;

const RATIOS: [f64; 8] = [0.1, 0.2, 0.3, 0.4, 0.6, 0.75, 1.0, 1.5];
const FAILURE_RATES: [f64; 3] = [0.05, 0.3, 1.0];
const CALLS: u32 = 10_000;
const PER: Duration = Duration::from_secs(10);

/// What a run of calls came to.
#[derive(Default)]
struct Run {
    originals: u32,
    /// Attempts that failed and might have been made again.
    wanted: u32,
    sent: u32,
}

impl Run {
    /// An original call with up to three further attempts, each failing at the same rate.
    fn call(&mut self, budget: &Budget, rate: f64, rng: &mut Rng) {
        self.originals += 1;
        budget.enter();
        for _ in 0..3 {
            if rng.fraction() >= rate {
                break;
            }
            self.wanted += 1;
            let Some(mut withdrawal) = budget.withdraw() else { break };
            withdrawal.sent();
            self.sent += 1;
        }
        budget.leave();
    }

    /// At most what the ratio allows; and what it allows or what was wanted, within 1 % of the
    /// calls.
    #[track_caller]
    fn is_bounded_by(&self, ratio: f64, rate: f64) {
        let [originals, wanted, sent] = [self.originals, self.wanted, self.sent].map(f64::from);
        assert!(sent <= ratio * originals + 1e-6, "{ratio} at {rate}: {sent}");
        let due = wanted.min(ratio * originals);
        assert!(sent >= due - 0.01 * originals, "{ratio} at {rate}: {sent} of {due}");
    }
}

async fn advance(time: Duration) {
    tokio::time::advance(time).await;
}

fn sent(budget: &Budget) -> Option<()> {
    budget.withdraw().map(|mut withdrawal| withdrawal.sent())
}

fn drain(budget: &Budget) -> usize {
    // Bounded: a budget that never runs dry is to fail, not to hang.
    std::iter::from_fn(|| sent(budget)).take(100_000).count()
}

#[tokio::test(start_paused = true)]
async fn every_ratio_means_what_it_says_at_one_instant() {
    for ratio in RATIOS {
        for rate in FAILURE_RATES {
            let budget = Budget::ratio(ratio).at_least(0);
            let (mut run, mut rng) = (Run::default(), Rng::new(Some(1)));
            (0..CALLS).for_each(|_| run.call(&budget, rate, &mut rng));
            run.is_bounded_by(ratio, rate);
        }
        let budget = Budget::ratio(ratio).at_least(0);
        (0..CALLS).for_each(|_| budget.enter());
        assert_eq!(drain(&budget), (ratio * f64::from(CALLS)).round() as usize, "{ratio}");
    }
}

/// Against a window without slices: near the point where what is wanted meets what is allowed,
/// that one refuses more than the ratio would over the whole time, too.
#[tokio::test(start_paused = true)]
async fn every_ratio_means_what_it_says_over_time() {
    const EVERY: Duration = Duration::from_micros(9_700);
    let window = (PER.as_micros() / EVERY.as_micros()) as usize;
    for ratio in RATIOS {
        for rate in FAILURE_RATES {
            let budget = Budget::ratio(ratio).at_least(0);
            let (mut rng, mut retries) = (Rng::new(Some(1)), 0);
            let mut ideal = vec![0u32];
            for call in 0..CALLS as usize {
                let failures = (0..3).take_while(|_| rng.fraction() < rate).count();
                budget.enter();
                retries += (0..failures).take_while(|_| sent(&budget).is_some()).count();
                let inside = &ideal[ideal.len().saturating_sub(window)..];
                let allowed = ratio * (call + 1).min(window) as f64 + 1e-9;
                let left = allowed as u32 - inside.iter().sum::<u32>();
                ideal.push(left.min(failures as u32));
                advance(EVERY).await;
            }
            let (retries, ideal) = (retries as f64, f64::from(ideal.iter().sum::<u32>()));
            let calls = f64::from(CALLS);
            assert!(retries <= ratio * calls && retries <= ideal + 0.01 * calls);
            assert!(retries >= ideal - 0.01 * calls, "{ratio} at {rate}: {retries} of {ideal}");
        }
    }
}

#[test]
fn every_ratio_means_what_it_says_on_eight_threads() {
    for ratio in RATIOS {
        for rate in FAILURE_RATES {
            let budget = Budget::ratio(ratio).at_least(0).per(Duration::from_secs(3600));
            let mut total = Run::default();
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|seed| {
                        let budget = &budget;
                        scope.spawn(move || {
                            let (mut run, mut rng) = (Run::default(), Rng::new(Some(seed)));
                            (0..CALLS / 8).for_each(|_| run.call(budget, rate, &mut rng));
                            run
                        })
                    })
                    .collect();
                for run in threads.into_iter().map(|thread| thread.join().unwrap()) {
                    total.originals += run.originals;
                    total.wanted += run.wanted;
                    total.sent += run.sent;
                }
            });
            total.is_bounded_by(ratio, rate);
        }
    }
}

/// Every other call fails, so that every other call asks the budget.
#[tokio::test(start_paused = true)]
async fn a_strict_alternation_gets_its_ratio() {
    for ratio in [0.1, 0.2, 0.4] {
        let budget = Budget::ratio(ratio).at_least(0);
        let mut retries = 0;
        for call in 0..CALLS {
            budget.enter();
            if call % 2 == 0 {
                retries += u32::from(sent(&budget).is_some());
            }
            advance(Duration::from_millis(3)).await;
        }
        let due = ratio * f64::from(CALLS);
        assert!((0.99 * due..=due).contains(&f64::from(retries)), "{retries} of {due}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_after_health_finds_the_whole_budget() {
    let budget = Budget::default();
    for _ in 0..1000 {
        budget.enter();
        advance(Duration::from_millis(5)).await;
    }
    // 200 for the calls, 100 for the floor.
    assert_eq!(drain(&budget), 300);
}

#[tokio::test(start_paused = true)]
async fn ten_windows_of_health_save_up_no_more_than_one() {
    let budget = Budget::default();
    for _ in 0..10 * 2000 {
        budget.enter();
        advance(Duration::from_millis(5)).await;
    }
    let drained = drain(&budget);
    assert!((100 + 392..=100 + 400).contains(&drained), "{drained}");
    // From here on every call fails: they get their ratio, once the deposits of before are gone.
    let mut retries = 0;
    for call in 0..4 * 2000 {
        budget.enter();
        let passed = sent(&budget).is_some();
        retries += u32::from(passed && call >= 2000);
        advance(Duration::from_millis(5)).await;
    }
    // The ratio of three windows, and their floors.
    assert!((1480..=1500).contains(&retries), "{retries}");
}

/// Traffic in bursts: the deposits of a burst are there at its end, though the clock jumped.
#[tokio::test(start_paused = true)]
async fn bursts_keep_their_deposits() {
    for burst in [50, 100, 1000, 10_000] {
        let budget = Budget::ratio(0.5).at_least(0);
        for _ in 0..10 {
            advance(2 * PER).await;
            (0..burst).for_each(|_| budget.enter());
        }
        let (drained, due) = (drain(&budget), burst / 2);
        assert!(drained <= due && drained >= due - due / 64 - 1, "{drained} of {due}");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_time_leaves_the_floor() {
    let budget = Budget::ratio(0.2).at_least(3);
    for idle in [PER, Duration::from_secs(6 * 60 * 60), Duration::from_secs(365 * 24 * 60 * 60)] {
        (0..1000).for_each(|_| budget.enter());
        advance(idle).await;
        assert_eq!(drain(&budget), 30, "after {idle:?}");
        advance(idle).await;
        // What was withdrawn leaves with the last of its 250th of the window.
        advance(PER / 250).await;
        assert!((budget.available() - 30.0).abs() < f64::EPSILON, "after {idle:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_sent_is_given_back() {
    let budget = Budget::ratio(0.3).at_least(0);
    (0..10).for_each(|_| budget.enter());
    for _ in 0..100 {
        let all: Vec<Withdrawal> = std::iter::from_fn(|| budget.withdraw()).collect();
        assert_eq!(all.len(), 3);
    }
    let [kept, mut gone] = [budget.withdraw().unwrap(), budget.withdraw().unwrap()];
    gone.sent();
    drop(gone);
    assert!((budget.available() - 1.0).abs() < f64::EPSILON);
    // Given back after everything has left the window: there is nothing left to give back.
    advance(2 * PER).await;
    drop(kept);
    assert!(budget.available() == 0.0);
    (0..4).for_each(|_| budget.enter());
    assert!((budget.available() - 1.2).abs() < f64::EPSILON);
}

#[test]
fn in_flight_bounds_what_is_out_at_once() {
    let budget = Budget::in_flight(0.2);
    let mut out: Vec<Withdrawal> = std::iter::from_fn(|| budget.withdraw()).collect();
    assert_eq!(out.len(), 3, "at least");
    (0..24).for_each(|_| budget.enter());
    out.extend(std::iter::from_fn(|| budget.withdraw()));
    assert_eq!(out.len(), 4, "0.2 of 24, in whole attempts");
    budget.enter();
    out.extend(std::iter::from_fn(|| budget.withdraw()));
    assert_eq!(out.len(), 5);
    out[0].sent();
    assert!(budget.withdraw().is_none(), "sent is still in flight");
    drop(out.pop());
    assert!((budget.available() - 1.0).abs() < f64::EPSILON);
    (0..25).for_each(|_| budget.leave());
    assert!(budget.withdraw().is_none() && budget.available() == 0.0, "4 of at least 3 are out");
    out.clear();
    assert!((budget.available() - 3.0).abs() < f64::EPSILON);
}

#[test]
fn calls_in_flight_may_end_on_another_thread() {
    let budget = Budget::in_flight(1.0).at_least(0);
    (0..10).for_each(|_| budget.enter());
    for _ in 0..8 {
        let budget = budget.clone();
        std::thread::spawn(move || budget.leave()).join().unwrap();
    }
    assert!((budget.available() - 2.0).abs() < f64::EPSILON);
}

#[test]
fn tokens_follow_a6() {
    let budget = Budget::tokens(10, 0.1);
    assert!((budget.available() - 5.0).abs() < f64::EPSILON);
    for _ in 0..5 {
        assert!(budget.withdraw().is_some());
        budget.judged(Class::Transient);
    }
    assert!(budget.withdraw().is_none(), "5 of 10 is not above half");
    budget.judged(Class::Permanent);
    budget.judged(Class::Ignore);
    assert!(budget.withdraw().is_none());
    budget.judged(Class::Success);
    assert!((budget.available() - 1.0).abs() < f64::EPSILON);
    assert!(budget.withdraw().is_some());
    for _ in 0..100 {
        budget.judged(Class::Overload { retry_after: None });
    }
    // From nothing: 5.1 tokens are above half.
    for _ in 0..50 {
        assert!(budget.withdraw().is_none());
        budget.judged(Class::Success);
    }
    assert!(budget.withdraw().is_none());
    budget.judged(Class::Success);
    assert!(budget.withdraw().is_some());
    (0..1000).for_each(|_| budget.judged(Class::Success));
    assert!((budget.available() - 5.0).abs() < f64::EPSILON, "full, and no more");
}

#[test]
fn tokens_cost_by_the_kind_of_failure() {
    let budget = Budget::tokens(9, 1.0).costs(0, 3);
    (0..100).for_each(|_| budget.judged(Class::Transient));
    assert!((budget.available() - 2.0).abs() < f64::EPSILON, "4.5 above half, at 3 each");
    budget.judged(Class::Overload { retry_after: None });
    assert!(budget.withdraw().is_some(), "6 is above 4.5");
    budget.judged(Class::Overload { retry_after: None });
    assert!(budget.withdraw().is_none());
}

#[test]
fn setters_make_a_budget_of_their_own_and_clones_share() {
    let budget = Budget::ratio(1.0).at_least(1);
    let (shared, other) = (budget.clone(), budget.clone().at_least(1));
    assert_eq!(drain(&budget), 10);
    assert_eq!((drain(&shared), drain(&other)), (0, 10));
}

#[test]
fn nonsense_is_refused_by_name() {
    let too_long = Duration::from_secs(24 * 60 * 60 + 1);
    for (budget, setting) in [
        (Budget::ratio(0.0), "budget.ratio"),
        (Budget::ratio(f64::NAN), "budget.ratio"),
        (Budget::ratio(-0.1), "budget.ratio"),
        (Budget::ratio(f64::INFINITY), "budget.ratio"),
        (Budget::ratio(100.1), "budget.ratio"),
        (Budget::ratio(0.2).per(Duration::ZERO), "budget.per"),
        (Budget::ratio(0.2).per(Duration::MAX), "budget.per"),
        (Budget::ratio(0.2).per(too_long).at_least(u32::MAX), "budget.per"),
        (Budget::ratio(0.2).costs(1, 1), "budget.costs"),
        (Budget::ratio(0.2).costs(1, 1).per(PER), "budget.costs"),
        (Budget::in_flight(0.0), "budget.ratio"),
        (Budget::in_flight(0.2).per(PER), "budget.per"),
        (Budget::tokens(0, 0.1), "budget.max"),
        (Budget::tokens(u32::MAX, 0.1), "budget.max"),
        (Budget::tokens(10, 0.0), "budget.ratio"),
        (Budget::tokens(10, 0.1).costs(11, 1), "budget.transient_cost"),
        (Budget::tokens(10, 0.1).costs(1, 11), "budget.overload_cost"),
        (Budget::tokens(10, 0.1).costs(0, 0), "budget.costs"),
        (Budget::tokens(10, 0.1).at_least(1), "budget.at_least"),
    ] {
        assert_eq!(budget.check().unwrap_err().setting(), setting, "{budget:?}");
        // Until then it is as good as any.
        budget.enter();
        budget.judged(Class::Transient);
        drop(budget.withdraw());
        budget.leave();
    }
    let longest = Duration::from_secs(24 * 60 * 60);
    for budget in [
        Budget::default(),
        Budget::ratio(0.0001).per(Duration::from_millis(100)).at_least(0),
        Budget::ratio(100.0).per(longest).at_least(u32::MAX),
        Budget::in_flight(0.2).at_least(0),
        Budget::tokens(10, 0.1).costs(0, 10),
    ] {
        budget.check().unwrap();
    }
    assert_eq!(Budget::default().inner.config, BudgetConfig::default());
}
