//! The machine against a naive model, step by step.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::circuit_breaker::model::{Op, run};
use crate::circuit_breaker::{Config, Phase, SlowCalls, Window};
use crate::classify::Class;

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![
        4 => Just(Class::Success),
        1 => Just(Class::Permanent),
        4 => Just(Class::Transient),
        1 => Just(Class::Overload { retry_after: None }),
        1 => (0u64..30_000).prop_map(|ms| Class::Overload { retry_after: Some(ms_of(ms)) }),
        1 => Just(Class::Ignore),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => prop_oneof![0u64..50, 0u64..2_000, Just(100), Just(1_000), 0u64..60_000]
            .prop_map(Op::Wait),
        20 => Just(Op::Admit),
        20 => (any::<usize>(), class(), 0u64..600).prop_map(|(n, class, ms)| Op::Settle(n, class, ms)),
        3 => any::<usize>().prop_map(Op::Abandon),
        4 => Just(Op::Reserve),
        3 => any::<usize>().prop_map(Op::Begin),
        1 => any::<usize>().prop_map(Op::GiveBack),
        1 => Just(Op::Read),
    ]
}

/// Operators are rare: with them at every corner nothing else would get a chance.
fn op_with_operator() -> impl Strategy<Value = Op> {
    prop_oneof![
        60 => op(),
        1 => Just(Op::ForceOpen),
        1 => Just(Op::Disable),
        2 => Just(Op::Auto),
        1 => Just(Op::Reset),
    ]
}

fn ms_of(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn config() -> impl Strategy<Value = Config> {
    let window = prop_oneof![
        (1u32..12).prop_map(Window::count),
        (10u64..3_000).prop_map(|ms| Window::time(ms_of(ms))),
    ];
    let trips = (
        prop::option::of(0.05f64..=1.0),
        prop::option::of(1u32..5),
        prop::option::of((100u64..400, 0.05f64..=1.0)),
    );
    let times = (prop::option::of(50u64..5_000), prop::option::weighted(0.2, 1u64..5_000));
    (window, trips, 1u32..12, 1u32..4, 1u32..4, times).prop_map(
        |(window, (rate, consecutive, slow), minimum_calls, probes, close_after, times)| Config {
            failure_rate: rate,
            consecutive_failures: consecutive,
            slow_calls: slow.map(|(ms, rate)| SlowCalls::new(ms_of(ms), rate)),
            window,
            minimum_calls,
            open_for: ms_of(500),
            open_for_at_most: Some(ms_of(4_000)),
            probes,
            close_after,
            half_open_for: times.0.map(ms_of),
            ramp: times.1.map(ms_of),
            ..Config::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_machine_is_its_naive_model(
        config in config(),
        ops in prop::collection::vec(op(), 1..400),
        seed in any::<u64>(),
    ) {
        run(config, ops, seed);
    }

    #[test]
    fn the_machine_is_its_naive_model_with_an_operator(
        config in config(),
        ops in prop::collection::vec(op_with_operator(), 1..400),
        seed in any::<u64>(),
    ) {
        run(config, ops, seed);
    }
}

/// A model that never left the closed state would prove nothing.
#[test]
fn the_model_sees_every_state() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = Vec::new();
    for _ in 0..100 {
        let strategy = (config(), prop::collection::vec(op_with_operator(), 400));
        let (config, ops) = strategy.new_tree(&mut runner).unwrap().current();
        seen.extend(run(config, ops, 1));
    }
    for phase in Phase::ALL {
        let steps = seen.iter().filter(|seen| **seen == phase).count();
        assert!(steps > 500, "{phase}: only {steps} steps");
    }
}
