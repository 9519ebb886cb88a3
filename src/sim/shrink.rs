//! Smaller plans: what a failing one is cut down to.

use std::time::Duration;

use proptest::strategy::{NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::clients::{Arrivals, Clients};
use super::faults::{Fault, FaultKind};
use super::plan::Plan;

/// Shorter than this, nothing is halved again.
const SHORT: Duration = Duration::from_millis(200);

impl Plan {
    /// The plan as a strategy of proptest: always this plan, which shrinks to smaller ones, with
    /// fewer faults, shorter and weaker ones, less load, a shorter run.
    #[must_use]
    pub fn shrinkable(self) -> Shrinkable {
        Shrinkable { plan: self }
    }

    /// Plans that are smaller by one step, those that leave out most first.
    fn smaller(&self) -> Vec<Self> {
        let mut plans = Vec::new();
        for index in 0..self.faults.0.len() {
            plans.push(self.edit(|plan| drop(plan.faults.0.remove(index))));
        }
        for (name, clients) in &self.clients {
            for index in 0..clients.spikes.len() {
                plans.push(self.edit_clients(name, |clients| {
                    clients.spikes.remove(index);
                }));
            }
        }
        if self.run_for > SHORT {
            plans.push(self.edit(|plan| plan.run_for /= 2));
        }
        for (index, fault) in self.faults.0.iter().enumerate() {
            if fault.lasting > SHORT {
                plans.push(self.edit(|plan| plan.faults.0[index].lasting /= 2));
            }
            if let Some(kind) = weaker(fault) {
                plans.push(self.edit(|plan| plan.faults.0[index].kind = kind));
            }
        }
        for (name, clients) in &self.clients {
            plans.extend(
                fewer(clients)
                    .into_iter()
                    .map(|fewer| self.edit(|plan| drop(plan.clients.insert(name.clone(), fewer)))),
            );
        }
        plans
    }

    fn edit(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut plan = self.clone();
        change(&mut plan);
        plan
    }

    fn edit_clients(&self, name: &str, change: impl FnOnce(&mut Clients)) -> Self {
        self.edit(|plan| {
            plan.clients.get_mut(name).map(change);
        })
    }
}

fn weaker(fault: &Fault) -> Option<FaultKind> {
    let half = |share: f64| (share > 0.05).then_some(share / 2.0);
    Some(match fault.kind {
        FaultKind::Slow { factor } if factor > 1.1 => FaultKind::Slow { factor: factor.sqrt() },
        FaultKind::LoseWorkers { share } => FaultKind::LoseWorkers { share: half(share)? },
        FaultKind::Errors { share } => FaultKind::Errors { share: half(share)? },
        FaultKind::LoseReplies { share } => FaultKind::LoseReplies { share: half(share)? },
        _ => return None,
    })
}

fn fewer(clients: &Clients) -> Vec<Clients> {
    let mut smaller = Vec::new();
    let mut arrivals = clients.arrivals;
    let less = match &mut arrivals {
        Arrivals::Open { per_second } | Arrivals::Bursts { per_second, .. } => {
            *per_second /= 2.0;
            *per_second >= 1.0
        }
        Arrivals::Closed { clients, .. } => {
            *clients /= 2;
            *clients >= 1
        }
    };
    if less {
        smaller.push(Clients { arrivals, ..clients.clone() });
    }
    if clients.attempts > 1 {
        smaller.push(Clients { attempts: clients.attempts - 1, ..clients.clone() });
    }
    if clients.keys > 1 {
        smaller.push(Clients { keys: clients.keys / 2, ..clients.clone() });
    }
    smaller
}

/// A plan as a strategy of proptest: see [`Plan::shrinkable`].
#[derive(Clone, Debug)]
pub struct Shrinkable {
    plan: Plan,
}

impl Strategy for Shrinkable {
    type Tree = PlanTree;
    type Value = Plan;

    fn new_tree(&self, _: &mut TestRunner) -> NewTree<Self> {
        Ok(PlanTree::new(self.plan.clone()))
    }
}

/// A plan and those that it shrinks to, one step at a time.
#[derive(Clone, Debug)]
pub struct PlanTree {
    /// The smallest that is known to fail.
    failing: Plan,
    current: Plan,
    /// What to try next in place of `current`, last first.
    untried: Vec<Plan>,
}

impl PlanTree {
    pub(super) fn new(plan: Plan) -> Self {
        Self { failing: plan.clone(), current: plan, untried: Vec::new() }
    }

    fn try_next(&mut self) -> bool {
        let next = self.untried.pop();
        let found = next.is_some();
        self.current = next.unwrap_or_else(|| self.failing.clone());
        found
    }
}

impl ValueTree for PlanTree {
    type Value = Plan;

    fn current(&self) -> Plan {
        self.current.clone()
    }

    fn simplify(&mut self) -> bool {
        self.failing = self.current.clone();
        self.untried = self.failing.smaller();
        self.untried.reverse();
        self.try_next()
    }

    fn complicate(&mut self) -> bool {
        self.try_next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Faults, Latency, Server};

    fn plan() -> Plan {
        let second = Duration::from_secs(1);
        Plan::new(60 * second)
            .server("db", Server::workers(4, Latency::fixed(second)))
            .clients("app", Clients::open(80.0).attempts(4).keys(8).spike(3.0, second, second))
            .faults(
                Faults::new()
                    .slow("db", 10.0, second, 8 * second)
                    .errors("db", 0.5, second, second)
                    .partition("db", 5 * second, second),
            )
    }

    /// Shrinks as proptest does: a step that still fails is kept, another is taken back.
    fn shrunk(fails: impl Fn(&Plan) -> bool) -> Plan {
        let mut tree = PlanTree::new(plan());
        assert!(fails(&tree.current()));
        let mut more = tree.simplify();
        while more {
            more = if fails(&tree.current()) { tree.simplify() } else { tree.complicate() };
        }
        tree.current()
    }

    #[test]
    fn what_does_not_matter_goes_and_what_matters_stays() {
        let slow = |plan: &Plan| {
            plan.faults
                .0
                .iter()
                .any(|fault| matches!(fault.kind, FaultKind::Slow { factor } if factor > 2.0))
        };
        let plan = shrunk(slow);
        assert!(slow(&plan));
        assert_eq!(plan.faults.0.len(), 1);
        assert!(plan.faults.0[0].lasting <= SHORT && plan.run_for <= SHORT);
        let clients = &plan.clients["app"];
        assert_eq!((clients.attempts, clients.keys, clients.spikes.len()), (1, 1, 0));
        assert!(matches!(clients.arrivals, Arrivals::Open { per_second } if per_second < 2.0));
    }

    #[test]
    fn a_plan_that_cannot_be_smaller_stays() {
        assert_eq!(shrunk(|candidate| *candidate == plan()), plan());
    }

    #[test]
    fn every_smaller_plan_can_be_meant() {
        assert!(plan().smaller().len() > 10);
        for smaller in plan().smaller() {
            assert_eq!(smaller.validate(), Ok(()));
            assert_ne!(smaller, plan());
        }
    }
}
