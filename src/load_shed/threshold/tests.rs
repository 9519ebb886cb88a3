use proptest::prelude::*;

use super::*;
use crate::priority::PriorityClass;
use crate::rng::Rng;

const WINDOW: Duration = Duration::from_secs(10);
const MS: Duration = Duration::from_millis(1);

fn at(rank: usize) -> Priority {
    let class = PriorityClass::ALL[rank / usize::from(Priority::LEVELS)];
    Priority::new(class).at_level(u8::try_from(rank % usize::from(Priority::LEVELS)).unwrap())
}

/// A threshold, the clock that it is asked at, and the draws of a mix.
struct Bench {
    threshold: Threshold,
    now: Instant,
    rng: Rng,
}

impl Bench {
    fn new() -> Self {
        let now = time::now();
        Self { threshold: Threshold::new(WINDOW, now), now, rng: Rng::new(Some(11)) }
    }

    fn ask(&mut self, priority: Priority, excess: f64) -> bool {
        self.now += MS;
        self.threshold.admits(self.now, priority, excess)
    }

    /// One of the mix, each as likely as its weight says.
    fn draw(&mut self, mix: &[(usize, f64)]) -> Priority {
        let all: f64 = mix.iter().map(|(_, weight)| weight).sum();
        let mut left = self.rng.fraction() * all;
        for (rank, weight) in mix {
            left -= weight;
            if left < 0.0 {
                return at(*rank);
            }
        }
        at(mix[0].0)
    }

    /// How many of so many were refused, for each class.
    fn run(&mut self, mix: &[(usize, f64)], excess: f64, calls: u32) -> Tally {
        let mut tally = Tally { calls: [0; 5], refused: [0; 5] };
        for _ in 0..calls {
            let priority = self.draw(mix);
            let class = priority.class().index();
            tally.calls[class] += 1;
            tally.refused[class] += u32::from(!self.ask(priority, excess));
        }
        tally
    }
}

#[derive(Debug)]
struct Tally {
    calls: [u32; 5],
    refused: [u32; 5],
}

impl Tally {
    fn share(&self) -> f64 {
        f64::from(self.refused.iter().sum::<u32>()) / f64::from(self.calls.iter().sum::<u32>())
    }

    fn share_of(&self, class: PriorityClass) -> f64 {
        f64::from(self.refused[class.index()]) / f64::from(self.calls[class.index()])
    }
}

/// All levels of a class, with this weight in total.
fn class(class: PriorityClass, weight: f64) -> impl Iterator<Item = (usize, f64)> {
    (0..128).map(move |level| (Priority::new(class).at_level(level).rank(), weight / 128.0))
}

/// A tenth critical, half default, the rest below.
fn usual() -> Vec<(usize, f64)> {
    let weights = [0.1, 0.5, 0.2, 0.1, 0.1];
    PriorityClass::ALL.into_iter().zip(weights).flat_map(|(of, weight)| class(of, weight)).collect()
}

#[test]
fn the_expected_share_refused_equals_the_excess_load() {
    for excess in [0.01, 0.1, 0.25, 0.5, 0.9, 0.99] {
        let share = Bench::new().run(&usual(), excess, 40_000).share();
        assert!((share - excess).abs() < 0.01, "{share} for {excess}");
    }
}

#[test]
fn with_all_traffic_in_one_rank_the_share_is_exact_to_the_call() {
    for excess in [0.001, 0.1, 1.0 / 3.0, 0.7, 0.999] {
        let mut bench = Bench::new();
        let mut refused = 0.0;
        for call in 1..=10_000 {
            refused += f64::from(u8::from(!bench.ask(Priority::default(), excess)));
            let due = excess * f64::from(call);
            assert!((refused - due).abs() < 1.0 + 1e-6, "{refused} of {call} for {excess}");
        }
    }
}

#[test]
fn low_classes_go_first() {
    let tally = Bench::new().run(&usual(), 0.3, 40_000);
    let shares = PriorityClass::ALL.map(|class| tally.share_of(class));
    assert!(shares[0] == 0.0 && shares[1] == 0.0, "{shares:?}");
    assert!((shares[2] - 0.5).abs() < 0.1, "{shares:?}");
    assert!(shares[3] > 0.99 && shares[4] > 0.99, "{shares:?}");
}

#[test]
fn within_a_class_whole_cohorts_and_not_a_random_request_of_everyones() {
    let mut bench = Bench::new();
    let mix: Vec<_> = class(PriorityClass::Default, 1.0).collect();
    bench.run(&mix, 0.0, 10_000);
    let mut tallies = [(0_u32, 0_u32); 128];
    for _ in 0..40_000 {
        let priority = bench.draw(&mix);
        let (calls, refused) = &mut tallies[usize::from(priority.level())];
        *calls += 1;
        *refused += u32::from(!bench.ask(priority, 0.25));
    }
    // A quarter of 128 levels is 32. The histogram is of some thousand calls, so that the
    // threshold wanders by a level or two.
    let none = tallies[..90].iter().filter(|(_, refused)| *refused == 0).count();
    let whole = tallies[102..].iter().filter(|(calls, refused)| calls == refused).count();
    assert_eq!((none, whole), (90, 26), "{tallies:?}");
}

#[test]
fn the_critical_class_is_refused_only_when_the_excess_exceeds_all_that_is_below() {
    let critical = [(Priority::new(PriorityClass::Critical).rank(), 0.6)];
    let mix: Vec<_> = critical.into_iter().chain(class(PriorityClass::Sheddable, 0.4)).collect();
    let mut bench = Bench::new();
    bench.run(&mix, 0.0, 5_000);
    let tally = bench.run(&mix, 0.37, 40_000);
    assert!(tally.share_of(PriorityClass::Critical) < 0.001, "{tally:?}");
    let tally = bench.run(&mix, 0.7, 40_000);
    assert!(tally.share_of(PriorityClass::Sheddable) > 0.999, "{tally:?}");
    assert!((tally.share_of(PriorityClass::Critical) - 0.5).abs() < 0.02, "{tally:?}");
}

#[test]
fn after_ten_windows_of_healthy_traffic_it_is_right_from_the_first_call() {
    let mut bench = Bench::new();
    // A call a millisecond.
    bench.run(&usual(), 0.0, 100_000);
    let tally = bench.run(&usual(), 0.2, 1_000);
    assert!((tally.share() - 0.2).abs() < 0.05, "{tally:?}");
    assert_eq!((tally.refused[0], tally.refused[1]), (0, 0), "{tally:?}");
    assert_eq!(tally.refused[4], tally.calls[4], "{tally:?}");
}

#[test]
fn another_mix_is_followed_within_a_window() {
    let mut bench = Bench::new();
    bench.run(&usual(), 0.3, 100_000);
    // What was below has gone: now the same excess must hit what was safe.
    let mix: Vec<_> = class(PriorityClass::Critical, 1.0).collect();
    bench.run(&mix, 0.3, 10_000);
    for _ in 0..3 {
        let share = bench.run(&mix, 0.3, 10_000).share();
        assert!((share - 0.3).abs() < 0.02, "{share}");
    }
}

#[test]
fn of_the_first_calls_too_the_right_share_is_refused_and_the_first_of_all_passes() {
    let mut refused = 0.0;
    let mut bench = Bench::new();
    for _ in 0..2_000 {
        bench.threshold = Threshold::new(WINDOW, bench.now);
        let first = bench.draw(&usual());
        assert!(bench.ask(first, 0.9), "there is nobody to compare it with");
        bench.threshold = Threshold::new(WINDOW, bench.now);
        refused += bench.run(&usual(), 0.4, 20).share();
    }
    assert!((refused / 2_000.0 - 0.4).abs() < 0.025, "{}", refused / 2_000.0);
}

#[test]
fn a_few_calls_a_minute_are_compared_with_those_before() {
    let mut bench = Bench::new();
    let mut refused = [0; 2];
    for _ in 0..2_000 {
        bench.now += 20 * WINDOW;
        let (class, kind) = if bench.rng.fraction() < 0.5 {
            (PriorityClass::Critical, 0)
        } else {
            (PriorityClass::Batch, 1)
        };
        refused[kind] += u32::from(!bench.ask(class.into(), 0.3));
    }
    assert!(refused[0] < 10 && (560..640).contains(&refused[1]), "{refused:?}");
}

#[test]
fn what_is_exempt_is_never_shed_and_others_go_in_its_place() {
    let mut bench = Bench::new();
    let mut refused = 0;
    for _ in 0..10_000 {
        assert!(bench.ask(Priority::EXEMPT, 1.0));
        refused += u32::from(!bench.ask(Priority::default(), 0.25));
    }
    assert!((4_990..=5_000).contains(&refused), "half of the rest is a quarter of all: {refused}");
}

#[test]
fn no_excess_and_none_that_makes_sense_refuses_nobody() {
    let mut bench = Bench::new();
    for excess in [0.0, -0.0, -1.0, f64::NEG_INFINITY, f64::NAN] {
        for rank in 0..RANKS {
            assert!(bench.ask(at(rank), excess), "{excess}");
        }
    }
    for excess in [1.0, 2.0, f64::INFINITY] {
        assert!(!bench.ask(Priority::EXEMPT.class().into(), excess), "{excess}");
    }
}

#[test]
fn a_clock_that_goes_back_loses_nothing() {
    let mut bench = Bench::new();
    bench.run(&usual(), 0.0, 1_000);
    let calls = bench.threshold.newer.calls;
    bench.now -= 500 * MS;
    bench.run(&usual(), 0.0, 100);
    assert_eq!(bench.threshold.newer.calls, calls + 100);
}

/// A few ranks, or many, with any weights.
fn mixes() -> impl Strategy<Value = Vec<(usize, f64)>> {
    let one = (0..RANKS, prop_oneof![0.0..1.0_f64, 10.0..100.0_f64])
        .prop_map(|(rank, weight)| (rank, weight + 0.001));
    prop_oneof![prop::collection::vec(one.clone(), 1..5), prop::collection::vec(one, 1..400)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_share_is_the_excess_within_two_percent_for_any_mix(
        mix in mixes(),
        excess in 0.0..=1.0_f64,
    ) {
        let share = Bench::new().run(&mix, excess, 20_000).share();
        prop_assert!((share - excess).abs() < 0.02, "{share} for {excess}");
    }

    #[test]
    fn nothing_is_refused_where_something_less_important_passes_save_on_the_threshold_itself(
        mix in mixes(),
        calls in 1..2_000_u32,
        excess in 0.0..=1.0_f64,
    ) {
        let mut bench = Bench::new();
        bench.run(&mix, excess, calls);
        // Each asked of the very same state.
        let passes = |rank: usize| bench.threshold.clone().admits(bench.now, at(rank), excess);
        let answers: Vec<bool> = (0..RANKS).map(passes).collect();
        let first_refused = answers.iter().position(|passes| !passes).unwrap_or(RANKS);
        let last_passed = answers.iter().rposition(|passes| *passes).unwrap_or(0);
        let between = first_refused..=last_passed;
        // Ranks without calls, up to the next with some, are the threshold together.
        let peopled = mix.iter().filter(|(rank, _)| between.contains(rank)).count();
        prop_assert!(peopled <= 2, "{between:?}");
    }

    #[test]
    fn the_tree_is_its_naive_model(ranks in prop::collection::vec(0..RANKS, 0..500)) {
        let mut half = Half::default();
        let mut counts = [0_u32; RANKS];
        for rank in ranks {
            half.count(at(rank));
            counts[rank] += 1;
        }
        for rank in 0..RANKS {
            prop_assert_eq!(half.alike(at(rank)), counts[rank]);
            prop_assert_eq!(half.behind(at(rank)), counts[rank + 1..].iter().sum::<u32>());
        }
    }
}

fn ops() -> impl Strategy<Value = model::Op> {
    let excess = prop_oneof![8 => -0.1..1.1, 1 => Just(f64::NAN)];
    prop_oneof![
        1 => (0..20_000_u64).prop_map(|millis| model::Op::Wait(Duration::from_millis(millis))),
        8 => (0..5_usize, prop_oneof![0..3_u8, 0..128_u8], excess.clone())
            .prop_map(|(class, level, excess)| model::Op::Call { class, level, excess }),
        1 => excess.prop_map(|excess| model::Op::Exempt { excess }),
    ]
}

proptest! {
    #[test]
    fn refuses_and_passes_as_a_model_that_keeps_every_call(
        ops in proptest::collection::vec(ops(), 0..800),
    ) {
        model::run(WINDOW, ops);
    }
}
