//! The circuit, which shows its machine few of the successes, against a machine that sees them all.

use std::time::Duration;

use proptest::prelude::*;

use crate::circuit_breaker::circuit::{Circuit, Options};
use crate::circuit_breaker::state::Machine;
use crate::circuit_breaker::{Config, SlowCalls, Window};
use crate::classify::Class;
use crate::observe::Identity;
use crate::rng::Rng;
use crate::time;

#[derive(Clone, Copy, Debug)]
enum Op {
    Wait(u64),
    Admit,
    Settle(usize, Class),
    Look,
}

fn op() -> impl Strategy<Value = Op> {
    let class = prop_oneof![
        20 => Just(Class::Success),
        1 => Just(Class::Permanent),
        2 => Just(Class::Transient),
        1 => Just(Class::Overload { retry_after: None }),
        1 => Just(Class::Ignore),
    ];
    prop_oneof![
        4 => prop_oneof![0u64..40, Just(100), 0u64..1_500].prop_map(Op::Wait),
        12 => Just(Op::Admit),
        12 => (any::<usize>(), class).prop_map(|(n, class)| Op::Settle(n, class)),
        1 => Just(Op::Look),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let window = prop_oneof![
        (1u32..30).prop_map(Window::count),
        (10u64..3_000).prop_map(|ms| Window::time(Duration::from_millis(ms))),
    ];
    let slow = prop::option::of((20u64..200, 0.05f64..=1.0));
    let rates = (prop::option::of(0.02f64..=1.0), prop::option::of(1u32..5), slow);
    (window, rates, 1u32..12).prop_map(|(window, (rate, streak, slow), minimum_calls)| Config {
        failure_rate: rate,
        consecutive_failures: streak,
        slow_calls: slow
            .map(|(ms, rate)| SlowCalls { longer_than: Duration::from_millis(ms), rate }),
        window,
        minimum_calls,
        open_for: Duration::from_millis(500),
        ..Config::default()
    })
}

proptest! {
    #[test]
    fn the_circuit_decides_as_if_its_machine_saw_every_call(
        config in config(),
        ops in prop::collection::vec(op(), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(compare(&config, &ops));
    }
}

async fn compare(config: &Config, ops: &[Op]) {
    let settings = config.resolve().unwrap();
    let options = Options {
        shadow: false,
        gate: false,
        timed: settings.slow.is_some(),
        slow: settings.slow.map(|(limit, _)| limit),
        counts: settings.keeps_window(),
    };
    let mut machine = Machine::new(settings.clone(), time::now());
    let mut rng = Rng::new(Some(1));
    let emitter = Identity::default().emitter("circuit_breaker", None);
    let circuit =
        Circuit::new(Machine::new(settings, time::now()), Rng::new(Some(1)), emitter, options);
    let mut calls = Vec::new();
    for (step, op) in ops.iter().enumerate() {
        match *op {
            Op::Wait(ms) => tokio::time::advance(Duration::from_millis(ms)).await,
            Op::Admit => {
                let now = time::now();
                match (circuit.admit(), machine.admit(now, &mut rng)) {
                    (Ok(call), Ok(ticket)) => calls.push((call, ticket, now)),
                    (Err(refused), Err(refusal)) => {
                        assert_eq!(refused.retry_after(), refusal.retry_after, "at step {step}");
                    }
                    (circuit, machine) => panic!("{circuit:?}, {machine:?} at step {step}"),
                }
            }
            Op::Settle(n, class) if !calls.is_empty() => {
                let (call, ticket, since) = calls.swap_remove(n % calls.len());
                let now = time::now();
                circuit.settle(call, class);
                machine.settle(now, ticket, class, now - since, &mut rng);
            }
            Op::Settle(..) => {}
            Op::Look => assert_eq!(circuit.snapshot(), machine.snapshot(time::now()), "at {step}"),
        }
        assert_eq!(circuit.phase(), machine.phase(), "after step {step}");
    }
    assert_eq!(circuit.snapshot(), machine.snapshot(time::now()), "at the end");
}
