//! The machine against a naive model, step by step: for the tests, and for `fuzz/`.

use std::time::Duration;

use crate::circuit_breaker::state::Machine;
use crate::circuit_breaker::ticket::{Reception, Role, Ticket};
use crate::circuit_breaker::{Config, Phase};
use crate::classify::Class;
use crate::rng::Rng;
use crate::time::{self, Instant};

mod naive;

use naive::{Model, Probe};

/// What happens to a circuit. Times are in milliseconds.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // No part of the API.
pub enum Op {
    Wait(u64),
    Admit,
    /// Settles the n-th call that is out.
    Settle(usize, Class, u64),
    Abandon(usize),
    /// Keeps a slot for a call to come, as gate mode does.
    Reserve,
    /// The call begins for which the n-th slot is kept.
    Begin(usize),
    /// The n-th slot that is kept is given back.
    GiveBack(usize),
    ForceOpen,
    Disable,
    Auto,
    Reset,
    Read,
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
    /// The slots that are kept, or were until they were reclaimed.
    kept: Vec<Ticket>,
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
            Op::Reserve => self.reserve(),
            Op::Begin(n) => self.begin(n),
            Op::GiveBack(n) => self.give_back(n),
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
                model.ramping = false;
            }
            Op::Read => {}
        }
    }

    fn admit(&mut self) {
        self.pass_time();
        let Self { machine, model, rng, now, out, .. } = self;
        let now = *now;
        let ramps_for = model.ramps_for(now);
        let admitted = machine.admit(now, rng);
        let admits = model.admits(now);
        if let (Some(left), Err(refusal)) = (ramps_for, &admitted) {
            assert_eq!(refusal.retry_after, Some(left), "it was drawn by lot");
            return;
        }
        assert_eq!(admitted.is_ok(), admits, "in {:?}", model.phase);
        match admitted {
            Err(refusal) => assert_eq!(refusal.retry_after, model.refused_for(now)),
            Ok(ticket) => {
                out.push(ticket);
                assert_eq!(ticket.generation, model.generation);
                let is_probe = matches!(ticket.role, Role::Probe(_));
                assert_eq!(is_probe, model.phase == Phase::HalfOpen);
                if is_probe {
                    model.probes.push(Probe { ticket, since: now, reserved: false });
                }
            }
        }
    }

    /// First by itself, so that the model sees how long a reclaimed circuit stays open before the
    /// call finds it half open again.
    fn pass_time(&mut self) {
        self.machine.refusal(self.now, &mut self.rng);
        self.model.pass_time(self.now, &mut self.machine);
    }

    fn reserve(&mut self) {
        self.pass_time();
        let Self { machine, model, rng, now, kept, .. } = self;
        let reserved = machine.reserve(*now, rng);
        let admits = model.admits(*now);
        assert_eq!(reserved.is_ok(), admits, "in {:?}", model.phase);
        if let Ok(ticket) = reserved {
            assert_eq!(ticket.is_some(), model.phase == Phase::HalfOpen);
            let probe = ticket.map(|ticket| Probe { ticket, since: *now, reserved: true });
            model.probes.extend(probe);
            kept.extend(ticket);
        }
    }

    fn begin(&mut self, n: usize) {
        let Some(n) = n.checked_rem(self.kept.len()) else { return };
        let ticket = self.kept.swap_remove(n);
        let began = self.machine.begin(self.now, ticket, &mut self.rng);
        let Self { machine, model, now, out, .. } = self;
        model.pass_time(*now, machine);
        let slot = model.probes.iter_mut().find(|probe| probe.ticket == ticket);
        assert_eq!(began, slot.is_some());
        if let Some(slot) = slot {
            (slot.since, slot.reserved) = (*now, false);
            out.push(ticket);
        }
    }

    fn give_back(&mut self, n: usize) {
        let Some(n) = n.checked_rem(self.kept.len()) else { return };
        let ticket = self.kept.swap_remove(n);
        self.machine.abandon(ticket);
        self.model.take_back(ticket);
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
        self.model.take_back(ticket);
    }

    fn compare(&mut self) {
        let Self { machine, model, now, .. } = self;
        let snapshot = machine.snapshot(*now);
        let counted = (snapshot.calls, snapshot.failed, snapshot.slow);
        assert_eq!(counted, model.totals(*now));
        assert_eq!((machine.phase(), machine.generation()), (model.phase, model.generation));
        assert_eq!(snapshot.consecutive_failures, model.streak);
        assert_eq!(snapshot.openings, model.openings);
        for kept in &self.kept {
            let is_out = model.probes.iter().any(|probe| probe.ticket == *kept);
            assert_eq!(machine.is_out(*kept), is_out);
        }
    }
}

/// Panics where the machine does otherwise than the model. Gives back the phases that were seen.
///
/// # Panics
///
/// There, and if the configuration makes no sense.
pub fn run(config: Config, ops: impl IntoIterator<Item = Op>, seed: u64) -> Vec<Phase> {
    let now = time::now();
    let machine = Machine::new(config.resolve().unwrap(), now);
    let model = Model::new(config, now);
    let mut twins =
        Twins { machine, model, rng: Rng::new(Some(seed)), now, out: vec![], kept: vec![] };
    let step = |op| {
        twins.step(op);
        twins.compare();
        twins.model.phase
    };
    ops.into_iter().map(step).collect()
}
