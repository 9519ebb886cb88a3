//! Calls that are dropped, at every point, and whatever panics.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::support::poll_once;
use crate::support::{Ask, Fault as Broken, Ledger, Mock, Watch, call as call_by_hand, panics};
use buttress::observe::{Event, EventKind};
use buttress::retry::{Budget, Retry};
use tokio::time::advance;

/// Panics at one of its questions, and sends after the first attempt what it is told to.
#[derive(Clone, Debug)]
struct Fragile {
    then: Ask,
    until: Arc<AtomicU32>,
}

impl Fragile {
    /// One question more; the panic comes when none is left.
    fn note(&self) {
        let left = self.until.fetch_sub(1, Ordering::Relaxed);
        assert!(left > 0, "as the test wants: in the policy");
    }
}

impl Policy<Ask, u32, Broken> for Fragile {
    fn clone_request(&self, _: &Ask) -> Option<Ask> {
        self.note();
        Some(self.then)
    }

    fn classify(&self, outcome: Result<&u32, &Broken>) -> Class {
        self.note();
        outcome.map_or(Class::Transient, |_| Class::Success)
    }

    fn may_resend(&self, _: &Ask, _: Result<&u32, &Broken>) -> bool {
        self.note();
        true
    }

    fn hint(&self, _: Result<&u32, &Broken>, _: Class) -> Hint {
        self.note();
        Hint::None
    }

    fn prepare(&self, _: &mut Ask) {
        self.note();
    }

    fn deadline(&self, _: &Ask) -> Option<Deadline> {
        self.note();
        None
    }

    fn mark(&self, _: &mut Ask, _: Attempt) {
        self.note();
    }
}

/// A retry after 10 ms over a mock, whose budget shows what is in flight.
struct Rig {
    service: Retry<Mock, Fragile>,
    budget: Budget,
    ledger: Ledger,
    watch: Watch,
}

impl Rig {
    fn new(then: Ask, panic_after: u32) -> Self {
        Self::with(then, panic_after, |builder| builder)
    }

    fn with(then: Ask, panic_after: u32, set: fn(Builder<Fragile>) -> Builder<Fragile>) -> Self {
        let (ledger, mock) = (Ledger::default(), Mock::new());
        let budget = Budget::in_flight(0.0001).at_least(2);
        let policy = Fragile { then, until: Arc::new(AtomicU32::new(panic_after)) };
        let builder = RetryLayer::builder(policy)
            .delays(|| [10 * MS; 3])
            .budget(budget.clone())
            .observe(ledger.clone());
        Self { watch: mock.watch(), service: set(builder).build().layer(mock), budget, ledger }
    }

    #[track_caller]
    fn assert_empty(&self) {
        assert_eq!((self.watch.replies(), self.watch.alive()), (0, 1));
        assert!((self.budget.available() - 2.0).abs() < 1e-9, "{}", self.budget.available());
        self.ledger.assert_settled();
        let books = self.ledger.only();
        let begun =
            books.kinds().iter().filter(|k| matches!(k, EventKind::Admitted { .. })).count();
        assert_eq!(books.ended, begun, "{:?}", books.events);
    }
}

const NEVER: u32 = u32::MAX;

#[tokio::test(start_paused = true)]
async fn dropped_at_every_point_a_call_leaves_nothing_behind() {
    let asks = [Ask::Hold, Ask::Pend(3), Ask::FailAfter(5 * MS, 7), Ask::Fail(7)];
    let mut stages = std::collections::BTreeSet::new();
    for first in asks {
        for then in asks {
            for stalled in [false, true] {
                for polls in 0..12 {
                    let mut rig = Rig::new(then, NEVER);
                    let mut future = call_by_hand(&mut rig.service, first);
                    if stalled {
                        rig.watch.stall();
                    }
                    for _ in 0..polls {
                        if poll_once(&mut future).is_ready() {
                            break;
                        }
                        advance(5 * MS).await;
                    }
                    let seen = (rig.watch.called().len(), rig.watch.replies(), rig.watch.alive());
                    stages.insert(seen);
                    drop(future);
                    rig.assert_empty();
                }
            }
        }
    }
    // Attempts sent, in flight, and instances alive: calling, held back, getting ready, and the
    // same for the second retry; the last attempt keeps no instance.
    for stage in [(1, 1, 2), (1, 0, 2), (1, 0, 3), (2, 1, 2), (2, 0, 2), (3, 1, 1)] {
        assert!(stages.contains(&stage), "{stage:?} is not in {stages:?}");
    }
}

/// Drives a call to its end, over all its waits. The panic of it, or none.
async fn drive(rig: &mut Rig, first: Ask) -> bool {
    let Rig { service, .. } = rig;
    let calling = std::panic::AssertUnwindSafe(async {
        let _ = service.ready().await.unwrap().call(first).await;
    });
    futures::FutureExt::catch_unwind(calling).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_panic_at_any_question_to_the_policy_leaves_nothing_behind() {
    let mut panicked = 0;
    for question in 0.. {
        let mut rig = Rig::new(Ask::Fail(7), question);
        if !drive(&mut rig, Ask::Fail(7)).await {
            break;
        }
        panicked += 1;
        rig.assert_empty();
    }
    // Three attempts: prepare, two clones, three marks and verdicts, two of each other question.
    assert_eq!(panicked, 1 + 2 + 3 + 3 + 2 * 3);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_an_attempt_or_of_its_readiness_leaves_nothing_behind() {
    for then in [Ask::PanicInCall, Ask::PanicInPoll] {
        for first in [Ask::Fail(7), then] {
            let mut rig = Rig::new(then, NEVER);
            assert!(drive(&mut rig, first).await);
            rig.assert_empty();
        }
    }
    let mut rig = Rig::new(Ask::Answer(1), NEVER);
    let mut future = call_by_hand(&mut rig.service, Ask::Fail(7));
    assert!(poll_once(&mut future).is_pending());
    rig.watch.panic_in_readiness();
    advance(10 * MS).await;
    panics(move || drop(poll_once(&mut future)));
    rig.assert_empty();
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_an_observer_or_of_the_delays_leaves_nothing_behind() {
    let at_retried = |builder: Builder<Fragile>| {
        builder.observe(|event: &Event<'_>| {
            assert!(!matches!(event.kind, EventKind::Retried { .. }), "as the test wants");
        })
    };
    let at_withheld = |builder: Builder<Fragile>| {
        builder.observe(|event: &Event<'_>| {
            assert!(!matches!(event.kind, EventKind::Withheld(_)), "as the test wants");
        })
    };
    let in_delays = |builder: Builder<Fragile>| {
        builder.delays(|| std::iter::from_fn(|| panic!("as the test wants")))
    };
    for set in [at_retried as fn(_) -> _, at_withheld, in_delays] {
        let mut rig = Rig::with(Ask::Fail(7), NEVER, set);
        assert!(drive(&mut rig, Ask::Fail(7)).await);
        rig.assert_empty();
    }
}
