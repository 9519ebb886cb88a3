//! The machine against a naive model that keeps the whole history and recounts it at every step.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::circuit_breaker::state::Machine;
use crate::circuit_breaker::ticket::{Reception, Role, Ticket};
use crate::circuit_breaker::{Config, Phase, SlowCalls, Window};
use crate::classify::Class;
use crate::rng::Rng;
use crate::time::{self, Instant};

#[derive(Clone, Debug)]
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

/// Everything that ever happened in the present state, and nothing derived from it.
struct Model {
    config: Config,
    phase: Phase,
    generation: u64,
    origin: Instant,
    since: Instant,
    /// Every outcome since the window was last cleared: when, failed, slow.
    history: Vec<(Instant, bool, bool)>,
    /// Since the present closed state began.
    recorded: usize,
    streak: u32,
    openings: u32,
    until: Instant,
    probes: Vec<(Ticket, Instant)>,
    succeeded: u32,
}

impl Model {
    fn new(config: Config, now: Instant) -> Self {
        Self {
            config,
            phase: Phase::Closed,
            generation: 0,
            origin: now,
            since: now,
            history: Vec::new(),
            recorded: 0,
            streak: 0,
            openings: 0,
            until: now,
            probes: Vec::new(),
            succeeded: 0,
        }
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.generation += 1;
        self.since = now;
        self.probes.clear();
        self.succeeded = 0;
        self.recorded = 0;
    }

    fn close(&mut self, now: Instant) {
        self.history.clear();
        self.origin = now;
        self.streak = 0;
        self.enter(Phase::Closed, now);
    }

    /// Opens, and takes over the drawn end once it has been found to be within its bounds.
    fn open(&mut self, at: Instant, hint: Option<Duration>, machine: &mut Machine) {
        let stable = self.phase == Phase::Closed
            && match self.config.window {
                Window::Count(size) => self.recorded > size as usize,
                Window::Time(span) => at - self.since >= span,
            };
        self.openings = if stable { 1 } else { self.openings + 1 };
        let max = self.config.open_for_at_most.unwrap();
        let mut grown = self.config.open_for;
        for _ in 1..self.openings.min(40) {
            grown = max.min(grown * 2);
        }
        self.enter(Phase::Open, at);
        let left = machine.snapshot(at).until.unwrap_or_default();
        let hint = hint.unwrap_or_default();
        let (low, high) = ((grown / 2).max(hint).min(max), grown.max(hint).min(max));
        assert!(low <= left && left <= high, "open for {left:?}, not {low:?} to {high:?}");
        self.until = at + left;
    }

    fn pass_time(&mut self, now: Instant, machine: &mut Machine) {
        let limit = self.config.half_open_for.unwrap_or(self.config.open_for);
        if let Some(due) = self.probes.iter().map(|(_, since)| *since + limit).min()
            && due <= now
        {
            self.open(due, None, machine);
        }
    }

    fn totals(&self, now: Instant) -> (u64, u64, u64) {
        let inside: Vec<_> = match self.config.window {
            Window::Count(size) => self.history.iter().rev().take(size as usize).collect(),
            Window::Time(span) => {
                let width = (span / 10).as_nanos();
                let bucket = |at: Instant| (at - self.origin).as_nanos() / width;
                let oldest = (bucket(now) + 1).saturating_sub(10);
                self.history.iter().filter(|(at, ..)| bucket(*at) >= oldest).collect()
            }
        };
        let count = |of: fn(&(Instant, bool, bool)) -> bool| {
            inside.iter().filter(|outcome| of(outcome)).count() as u64
        };
        (inside.len() as u64, count(|o| o.1), count(|o| o.2))
    }

    fn trips(&self, now: Instant) -> bool {
        let Config { failure_rate, consecutive_failures, slow_calls, .. } = &self.config;
        let none = failure_rate.is_none() && consecutive_failures.is_none() && slow_calls.is_none();
        let minimum = match self.config.window {
            Window::Count(size) => size.min(self.config.minimum_calls),
            Window::Time(_) => self.config.minimum_calls,
        };
        let (calls, failed, slow) = self.totals(now);
        #[allow(clippy::cast_precision_loss)]
        let reached = |part: u64, rate: f64| part as f64 / calls as f64 >= rate - 1e-9;
        let rate = failure_rate.or(none.then_some(0.5));
        consecutive_failures.is_some_and(|limit| self.streak >= limit)
            || calls >= u64::from(minimum)
                && (rate.is_some_and(|rate| reached(failed, rate))
                    || slow_calls.is_some_and(|limit| reached(slow, limit.rate)))
    }

    fn keeps_window(&self) -> bool {
        let Config { failure_rate, consecutive_failures, slow_calls, window, .. } = &self.config;
        !(failure_rate.is_none()
            && slow_calls.is_none()
            && consecutive_failures.is_some()
            && matches!(window, Window::Time(_)))
    }

    fn settle(
        &mut self,
        now: Instant,
        ticket: Ticket,
        class: Class,
        latency: Duration,
        machine: &mut Machine,
    ) {
        if class == Class::Ignore {
            self.probes.retain(|(probe, _)| *probe != ticket);
            return;
        }
        let failed = matches!(class, Class::Transient | Class::Overload { .. });
        let slow = self.config.slow_calls.is_some_and(|limit| latency > limit.longer_than);
        let hint = if let Class::Overload { retry_after } = class { retry_after } else { None };
        if let Role::Probe(_) = ticket.role {
            self.probes.retain(|(probe, _)| *probe != ticket);
            if failed || slow {
                self.open(now, hint, machine);
            } else {
                self.succeeded += 1;
                if self.succeeded == self.config.close_after {
                    self.close(now);
                }
            }
            return;
        }
        match class {
            Class::Transient => self.streak += 1,
            Class::Overload { .. } => {}
            _ => self.streak = 0,
        }
        if self.keeps_window() {
            self.history.push((now, failed, slow));
        }
        if self.phase == Phase::Closed {
            self.recorded += 1;
            if self.trips(now) {
                self.open(now, hint, machine);
            }
        }
    }
}

/// Runs both side by side; gives back the phases that were seen.
fn run(config: Config, ops: Vec<Op>, seed: u64) -> Vec<Phase> {
    let mut now = time::now();
    let mut rng = Rng::new(Some(seed));
    let mut machine = Machine::new(config.resolve().unwrap(), now);
    let mut model = Model::new(config, now);
    let mut out: Vec<Ticket> = Vec::new();
    let mut seen = vec![Phase::Closed];
    for op in ops {
        match op {
            Op::Wait(ms) => now += ms_of(ms),
            Op::Admit => {
                // First by itself, so that the model sees how long a reclaimed circuit stays open
                // before the call finds it half open again.
                machine.refusal(now, &mut rng);
                model.pass_time(now, &mut machine);
                let admitted = machine.admit(now, &mut rng);
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
                        if model.phase == Phase::HalfOpen {
                            assert!(matches!(ticket.role, Role::Probe(_)));
                            model.probes.push((ticket, now));
                        }
                    }
                }
            }
            Op::Settle(n, class, ms) if !out.is_empty() => {
                let ticket = out.swap_remove(n % out.len());
                let reception = machine.settle(now, ticket, class, ms_of(ms), &mut rng);
                model.pass_time(now, &mut machine);
                let late = ticket.generation != model.generation;
                assert_eq!(reception == Reception::Late, late);
                if !late {
                    model.settle(now, ticket, class, ms_of(ms), &mut machine);
                }
            }
            Op::Abandon(n) if !out.is_empty() => {
                let ticket = out.swap_remove(n % out.len());
                machine.abandon(ticket);
                model.probes.retain(|(probe, _)| *probe != ticket);
            }
            Op::Settle(..) | Op::Abandon(_) => {}
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
        let snapshot = machine.snapshot(now);
        let (calls, failed, slow) = model.totals(now);
        assert_eq!((snapshot.calls, snapshot.failed, snapshot.slow), (calls, failed, slow));
        assert_eq!((machine.phase(), machine.generation()), (model.phase, model.generation));
        assert_eq!(snapshot.consecutive_failures, model.streak);
        assert_eq!(snapshot.openings, model.openings);
        seen.push(model.phase);
    }
    seen
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
