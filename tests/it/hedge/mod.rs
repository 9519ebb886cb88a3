//! Hedge: when there is a second attempt, who wins, and what becomes of the other.

mod attempts;
mod budget;
mod cancellation;
mod delay;
mod readiness;
mod reports;
mod tail;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::hedge::{Builder, Delay, Hedge, HedgeLayer};
use buttress::observe::Event;
use buttress::retry::{Attempt, Budget, Hint, Policy};
use buttress::timeout::Deadline;
use buttress::{Class, Reason};
use tower::Layer;

use crate::support::{Ask, Fault, Ledger, Mock, Watch};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The codes of faults that are more than transient failures.
const WRONG: u32 = 400;
const BUSY: u32 = 503;
/// Busy, with a hint of 1 s.
const BUSY_FOR: u32 = 529;
/// Busy, with a pushback of 0.
const BUSY_BUT_AT_ONCE: u32 = 530;
const STOP: u32 = 600;
/// A failure after which the request must not be sent again.
const LOST: u32 = 601;
/// The classifier panics.
const HOPELESS: u32 = 666;

/// A policy under which the second attempt asks for something else than the first, so that a test
/// can tell the two apart.
#[derive(Clone, Debug, Default)]
struct Plan {
    second: Option<Ask>,
    deadline: Option<Deadline>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Plan {
    fn second(ask: Ask) -> Self {
        Self { second: Some(ask), ..Self::default() }
    }

    fn note(&self, question: impl Into<String>) {
        self.asked.lock().unwrap().push(question.into());
    }

    /// What has been asked since the last look.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Policy<Ask, u32, Fault> for Plan {
    fn clone_request(&self, _: &Ask) -> Option<Ask> {
        self.note("clone");
        self.second
    }

    fn classify(&self, outcome: Result<&u32, &Fault>) -> Class {
        self.note("classify");
        match outcome {
            Ok(_) => Class::Success,
            Err(Fault::Rejected(refusal)) if refusal.reason() != Reason::TimedOut => Class::Ignore,
            Err(Fault::Broken(WRONG)) => Class::Permanent,
            Err(Fault::Broken(BUSY)) => Class::Overload { retry_after: None },
            Err(Fault::Broken(BUSY_FOR)) => Class::Overload { retry_after: Some(SECOND) },
            Err(Fault::Broken(BUSY_BUT_AT_ONCE)) => {
                Class::Overload { retry_after: Some(Duration::ZERO) }
            }
            Err(Fault::Broken(HOPELESS)) => panic!("as the test wants: in the classifier"),
            Err(_) => Class::Transient,
        }
    }

    fn may_resend(&self, _: &Ask, outcome: Result<&u32, &Fault>) -> bool {
        self.note("may_resend");
        !matches!(outcome, Err(Fault::Broken(LOST)))
    }

    fn hint(&self, outcome: Result<&u32, &Fault>, class: Class) -> Hint {
        self.note("hint");
        match (outcome, class) {
            (Err(Fault::Broken(STOP)), _) => Hint::Stop,
            (_, Class::Overload { retry_after: Some(wait) }) => Hint::AtLeast(wait),
            _ => Hint::None,
        }
    }

    fn prepare(&self, _: &mut Ask) {
        self.note("prepare");
    }

    fn deadline(&self, _: &Ask) -> Option<Deadline> {
        self.note("deadline");
        self.deadline
    }

    fn mark(&self, _: &mut Ask, attempt: Attempt) {
        self.note(attempt.to_string());
    }
}

/// How many second attempts the budget would let pass.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn tokens(budget: &Budget) -> u32 {
    budget.available() as u32
}

/// A hedge after 10 ms over a mock, and whoever watches.
struct Rig {
    layer: HedgeLayer<Plan>,
    service: Hedge<Mock, Plan>,
    watch: Watch,
    ledger: Ledger,
    plan: Plan,
}

impl Rig {
    fn new(plan: Plan) -> Self {
        Self::with(plan, |builder| builder)
    }

    fn second(ask: Ask) -> Self {
        Self::new(Plan::second(ask))
    }

    fn with(plan: Plan, set: impl FnOnce(Builder<Plan>) -> Builder<Plan>) -> Self {
        let (ledger, mock) = (Ledger::default(), Mock::new());
        let builder = HedgeLayer::builder(plan.clone()).delay(Delay::Fixed(10 * MS));
        let layer = set(builder).observe(ledger.clone()).build();
        Self { watch: mock.watch(), service: layer.layer(mock), layer, ledger, plan }
    }

    /// How many attempts were sent.
    fn sent(&self) -> usize {
        self.watch.called().len()
    }

    fn told(&self) -> Vec<buttress::observe::EventKind> {
        self.ledger.take("hedge")
    }
}
