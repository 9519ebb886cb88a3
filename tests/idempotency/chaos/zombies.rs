//! A holder that is stopped for longer than its lease, and wakes up.

use std::time::Duration;

use buttress::idempotency::{RecordState, Snapshot};
use tokio::time::{Instant, sleep};

use super::app::{Guard, Plan, Times};
use super::caller::{Answer, Order};
use super::child::Setup;
use super::ledger::{Ledger, Note, What};
use super::place::{Place, record_key};

const TIMES: Times =
    Times { lease: Duration::from_millis(1500), store_timeout: Duration::from_millis(500) };

/// Where the holder is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    BeforeItsEffect,
    AfterItsEffect,
}

struct Woken {
    /// To the caller of the one that was stopped.
    zombie: Answer,
    /// To the caller of the one that took over.
    second: Answer,
    notes: Vec<Note>,
}

impl Woken {
    fn effects(&self) -> Vec<u32> {
        let effects = self.notes.iter().filter(|note| note.what == What::Effect);
        effects.map(|note| note.attempt).collect()
    }
}

/// Stops an instance in its handler, lets another take over, and wakes the first.
async fn zombie(place: Place, guard: Guard, stopped: Stopped) -> Woken {
    let pause = Duration::from_millis(600);
    let (before, after) = match stopped {
        Stopped::BeforeItsEffect => (pause, Duration::ZERO),
        Stopped::AfterItsEffect => (Duration::ZERO, pause),
    };
    let ledger = Ledger::table().await;
    let plan = Plan { before, after, guard, flaky: false };
    let setup = Setup { place, ledger, plan, times: TIMES };
    let first = setup.elsewhere(None);
    let second = setup.here().await;
    let order = Order::new("zombie");
    let (sent, to) = (order.clone(), first.address);
    let asked = tokio::spawn(async move { sent.send(to).await.unwrap() });
    let awaited = match stopped {
        Stopped::BeforeItsEffect => What::Started,
        Stopped::AfterItsEffect => What::Effect,
    };
    noted(&setup.ledger, awaited).await;
    first.stop();

    let answer = order.until_final(&[second.address]).await;
    let before = record(&setup).await;
    first.resume();
    let zombie = asked.await.unwrap();
    let after = record(&setup).await;
    assert_eq!(before.state, RecordState::Completed);
    assert_eq!(
        (before.fence, before.attempt, before.payload_len, before.state),
        (after.fence, after.attempt, after.payload_len, after.state),
        "the zombie has changed the record"
    );
    assert!(after.expires_in <= before.expires_in, "the zombie has touched the record");
    assert!(answer.body.ends_with(&format!("|2|{}", after.fence)), "{answer:?}");
    assert_eq!(order.send(second.address).await.unwrap().body, answer.body);
    Woken { zombie, second: answer, notes: setup.ledger.notes().await }
}

async fn noted(ledger: &Ledger, what: What) {
    let until = Instant::now() + Duration::from_secs(10);
    while !ledger.notes().await.iter().any(|note| note.what == what) {
        assert!(Instant::now() < until, "nothing {what:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn record(setup: &Setup) -> Snapshot {
    let store = setup.place.open(Duration::from_secs(5)).await;
    store.dyn_inspect(&record_key("t", "zombie")).await.unwrap().expect("a record")
}

/// In each of the ways a handler can ask, before and after its effect.
async fn zombies(place: impl AsyncFn() -> Place) {
    use Stopped::{AfterItsEffect, BeforeItsEffect};
    let (unasked, late, checked) = tokio::join!(
        zombie(place().await, Guard::None, BeforeItsEffect),
        zombie(place().await, Guard::None, AfterItsEffect),
        zombie(place().await, Guard::Check, BeforeItsEffect),
    );
    let marked = zombie(place().await, Guard::BeginEffects, BeforeItsEffect).await;

    // Nothing keeps a handler from its effect that does not ask: a takeover says so.
    assert_eq!((unasked.effects(), late.effects()), (vec![2, 1], vec![1, 2]));
    for woken in [&unasked, &late] {
        assert!(woken.zombie.replayed, "{:?}", woken.zombie);
        assert_eq!(woken.zombie.body, woken.second.body, "one answer for everybody");
    }
    for woken in [&checked, &marked] {
        assert_eq!(woken.effects(), [2], "the zombie's effect did not happen");
        let said = (woken.zombie.status, woken.zombie.body.as_str());
        assert_eq!(said, (503, "another execution has taken over"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_in_redis_that_wakes_after_its_lease_changes_nothing() {
    Box::pin(zombies(async || Place::redis())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_in_postgresql_that_wakes_after_its_lease_changes_nothing() {
    Box::pin(zombies(Place::postgres)).await;
}

/// After its effects have begun nobody runs in its place, and the record says so for good.
async fn marked_zombie(place: Place) {
    let ledger = Ledger::table().await;
    let plan =
        Plan { after: Duration::from_millis(600), guard: Guard::BeginEffects, ..Plan::default() };
    let setup = Setup { place, ledger, plan, times: TIMES };
    let first = setup.elsewhere(None);
    let second = setup.here().await;
    let order = Order::new("zombie");
    let (sent, to) = (order.clone(), first.address);
    let asked = tokio::spawn(async move { sent.send(to).await.unwrap() });
    noted(&setup.ledger, What::Effect).await;
    first.stop();
    let until = Instant::now() + Duration::from_secs(10);
    let unknown = loop {
        let answer = order.send(second.address).await.unwrap();
        if !answer.is(409, "in_progress") || Instant::now() > until {
            break answer;
        }
        sleep(Duration::from_millis(30)).await;
    };
    assert!(unknown.is(409, "outcome_unknown"), "{unknown:?}");
    first.resume();
    let zombie = asked.await.unwrap();
    assert!(zombie.is(409, "outcome_unknown"), "{zombie:?}");
    assert_eq!(record(&setup).await.state, RecordState::Indeterminate);
    let effects = setup.ledger.tally().await["t/zombie"].effects;
    assert_eq!(effects, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_runs_in_place_of_a_holder_whose_effects_had_begun() {
    tokio::join!(marked_zombie(Place::redis()), async {
        marked_zombie(Place::postgres().await).await;
    });
}
