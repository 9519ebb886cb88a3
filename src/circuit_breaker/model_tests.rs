//! The machine against a naive model, step by step.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::circuit_breaker::state::Machine;
use crate::circuit_breaker::ticket::{Reception, Role, Ticket};
use crate::circuit_breaker::{Config, Phase, SlowCalls, Window};
use crate::classify::Class;
use crate::rng::Rng;
use crate::time::{self, Instant};

mod naive;

use naive::Model;

#[derive(Clone, Copy, Debug)]
enum Op {
    Wait(u64),
    Admit,
    /// Settles the n-th call that is out.
    Settle(usize, Class, u64),
    Abandon(usize),
    ForceOpen,
    Disable,
    Auto,
    Reset,
    Read,
}

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
    (window, trips, 1u32..12, 1u32..4, 1u32..4, prop::option::of(50u64..5_000)).prop_map(
        |(window, (rate, consecutive, slow), minimum_calls, probes, close_after, half_open)| {
            Config {
                failure_rate: rate,
                consecutive_failures: consecutive,
                slow_calls: slow.map(|(ms, rate)| SlowCalls::new(ms_of(ms), rate)),
                window,
                minimum_calls,
                open_for: ms_of(500),
                open_for_at_most: Some(ms_of(4_000)),
                probes,
                close_after,
                half_open_for: half_open.map(ms_of),
                ..Config::default()
            }
        },
    )
}

fn ms_of(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The machine and its model, side by side.
struct Twins {
    machine: Machine,
    model: Model,
    rng: Rng,
    now: Instant,
    /// The calls that are out.
    out: Vec<Ticket>,
}

impl Twins {
    fn step(&mut self, op: Op) {
        let now = self.now;
        let Self { machine, model, .. } = self;
        match op {
            Op::Wait(ms) => self.now += ms_of(ms),
            Op::Admit => self.admit(),
            Op::Settle(n, class, ms) => self.settle(n, class, ms_of(ms)),
            Op::Abandon(n) => self.abandon(n),
            Op::ForceOpen => {
                machine.force_open(now, String::new());
                if model.phase != Phase::ForcedOpen {
                    model.enter(Phase::ForcedOpen, now);
                }
            }
            Op::Disable => {
                machine.disable(now);
                if model.phase != Phase::Disabled {
                    model.enter(Phase::Disabled, now);
                }
            }
            Op::Auto => {
                machine.auto(now);
                match model.phase {
                    Phase::ForcedOpen => model.close(now),
                    Phase::Disabled => model.enter(Phase::Closed, now),
                    _ => {}
                }
            }
            Op::Reset => {
                machine.reset(now);
                model.openings = 0;
                model.close(now);
            }
            Op::Read => {}
        }
    }

    fn admit(&mut self) {
        let Self { machine, model, rng, now, out } = self;
        let now = *now;
        // First by itself, so that the model sees how long a reclaimed circuit stays open
        // before the call finds it half open again.
        machine.refusal(now, rng);
        model.pass_time(now, machine);
        let admitted = machine.admit(now, rng);
        if model.phase == Phase::Open && model.until <= now {
            model.enter(Phase::HalfOpen, now);
        }
        let admits = match model.phase {
            Phase::Closed | Phase::Disabled => true,
            Phase::Open | Phase::ForcedOpen => false,
            Phase::HalfOpen => model.probes.len() < model.config.probes as usize,
        };
        assert_eq!(admitted.is_ok(), admits, "in {:?}", model.phase);
        match admitted {
            Err(refusal) => match model.phase {
                Phase::Open => assert_eq!(refusal.retry_after, Some(model.until - now)),
                Phase::ForcedOpen => assert_eq!(refusal.retry_after, None),
                _ => assert!(refusal.retry_after.is_some()),
            },
            Ok(ticket) => {
                out.push(ticket);
                assert_eq!(ticket.generation, model.generation);
                let is_probe = matches!(ticket.role, Role::Probe(_));
                assert_eq!(is_probe, model.phase == Phase::HalfOpen);
                if is_probe {
                    model.probes.push((ticket, now));
                }
            }
        }
    }

    fn settle(&mut self, n: usize, class: Class, latency: Duration) {
        let Some(n) = n.checked_rem(self.out.len()) else { return };
        let ticket = self.out.swap_remove(n);
        let Self { machine, model, rng, now, .. } = self;
        let reception = machine.settle(*now, ticket, class, latency, rng);
        model.pass_time(*now, machine);
        let late = ticket.generation != model.generation;
        assert_eq!(reception == Reception::Late, late);
        if !late {
            model.settle(*now, ticket, class, latency, machine);
        }
    }

    fn abandon(&mut self, n: usize) {
        let Some(n) = n.checked_rem(self.out.len()) else { return };
        let ticket = self.out.swap_remove(n);
        self.machine.abandon(ticket);
        self.model.probes.retain(|(probe, _)| *probe != ticket);
    }

    fn compare(&mut self) {
        let Self { machine, model, now, .. } = self;
        let snapshot = machine.snapshot(*now);
        let counted = (snapshot.calls, snapshot.failed, snapshot.slow);
        assert_eq!(counted, model.totals(*now));
        assert_eq!((machine.phase(), machine.generation()), (model.phase, model.generation));
        assert_eq!(snapshot.consecutive_failures, model.streak);
        assert_eq!(snapshot.openings, model.openings);
    }
}

/// Gives back the phases that were seen.
fn run(config: Config, ops: Vec<Op>, seed: u64) -> Vec<Phase> {
    let now = time::now();
    let machine = Machine::new(config.resolve().unwrap(), now);
    let model = Model::new(config, now);
    let mut twins = Twins { machine, model, rng: Rng::new(Some(seed)), now, out: Vec::new() };
    let step = |op| {
        twins.step(op);
        twins.compare();
        twins.model.phase
    };
    ops.into_iter().map(step).collect()
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
