//! A store that cannot be reached, does not answer, or answers into the void: each ends as the
//! table of the layer says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::idempotency::{OnStoreError, OwnerId, RecordState};
use tokio::time::Instant;

use super::app::{App, Instance, Plan, Times};
use super::caller::{Answer, Order};
use super::ledger::{Ledger, Tally};
use super::place::{Place, record_key};
use super::watched::{Heard, Watched};
use crate::support::proxy::{Mode, Proxy};

/// Longer than any fault here: nothing is put right by a lease that lapses.
const TIMES: Times =
    Times { lease: Duration::from_secs(5), store_timeout: Duration::from_millis(400) };

/// An instance that reaches its store through a proxy.
struct Bench {
    place: Place,
    proxy: Arc<Proxy>,
    instance: Instance,
    ledger: Ledger,
    heard: Arc<Mutex<Vec<Call>>>,
}

/// A call to the store that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Begin(OwnerId, Answered),
    Complete(Answered),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    Well,
    Badly,
}

/// What goes wrong while the handler runs, and whether the first call that fails is the last.
#[derive(Clone, Copy, Debug, Default)]
struct Fault {
    in_handler: Option<Mode>,
    heals: bool,
    fails_open: bool,
}

impl Bench {
    async fn new(place: &Place, fault: Fault) -> Self {
        let proxy = Arc::new(Proxy::to(place.server()).await);
        let store = place.through(proxy.address()).open(TIMES.store_timeout).await;
        let (heard, ledger) = (Arc::<Mutex<Vec<Call>>>::default(), Ledger::in_memory());
        let (calls, healed, broken) = (heard.clone(), proxy.clone(), proxy.clone());
        let store = Watched::new(store).telling(move |heard| {
            if heard.failed() && fault.heals {
                healed.set(Mode::Pass);
            }
            let answered = if heard.failed() { Answered::Badly } else { Answered::Well };
            calls.lock().unwrap().push(match heard {
                Heard::Begin(request, _) => Call::Begin(request.owner, answered),
                Heard::Complete(..) => Call::Complete(answered),
                Heard::Abandon(..) => return,
            });
        });
        let app = App::new(ledger.clone(), Plan::default()).doing(move || {
            if let Some(mode) = fault.in_handler {
                broken.set(mode);
            }
        });
        let on_store_error =
            if fault.fails_open { OnStoreError::FailOpen } else { OnStoreError::FailClosed };
        let instance = Instance::with(store, app, TIMES, on_store_error).await;
        Self { place: place.clone(), proxy, instance, ledger, heard }
    }

    async fn send(&self, order: &Order) -> Answer {
        order.send(self.instance.address).await.unwrap()
    }

    fn heard(&self) -> Vec<Call> {
        self.heard.lock().unwrap().clone()
    }

    async fn tally(&self) -> Tally {
        Tally::sum(self.ledger.tally().await.values())
    }

    /// Everything has come to rest, the record is complete, and everybody gets this answer.
    async fn ends_with(&self, order: &Order, answer: &Answer) {
        let drained = self.instance.handle.drain(Duration::from_secs(4)).await;
        assert_eq!(drained.running, 0);
        let store = self.place.open(Duration::from_secs(5)).await;
        let record = store.dyn_inspect(&record_key("t", &order.key)).await.unwrap().unwrap();
        assert_eq!((record.state, record.attempt), (RecordState::Completed, 1));
        let again = self.send(order).await;
        assert!(again.replayed, "{again:?}");
        assert_eq!(again.body, answer.body);
        let once = Tally { executions: 1, takeovers: 0, effects: 1 };
        assert_eq!(self.tally().await, once);
    }
}

/// Refused while the fault is there, without a run; and well before a lease is over, run once.
async fn the_store_is_not_there(place: Place, mode: Mode) {
    let bench = Bench::new(&place, Fault::default()).await;
    let order = Order::new(format!("away-{mode:?}"));
    bench.proxy.set(mode);
    let since = Instant::now();
    let refused = bench.send(&order).await;
    assert!(refused.is(503, "store_unavailable"), "{refused:?}");
    assert_eq!(refused.retry_after, Some(1));
    assert!(since.elapsed() < TIMES.store_timeout * 3 + Duration::from_secs(2));
    assert_eq!(bench.tally().await, Tally::default(), "nothing runs unprotected");
    bench.proxy.set(Mode::Pass);
    let since = Instant::now();
    let answer = order.until_final(&[bench.instance.address]).await;
    assert!(since.elapsed() < TIMES.lease, "a claim that nobody had stood in the way");
    bench.ends_with(&order, &answer).await;
}

/// Asked again as the same owner, it is not in its own way.
async fn the_answer_to_the_claim_is_lost(place: Place) {
    let bench = Bench::new(&place, Fault { heals: true, ..Fault::default() }).await;
    let order = Order::new("claim");
    bench.proxy.set(Mode::CutAfterRequest);
    let answer = bench.send(&order).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let calls = bench.heard();
    let [
        Call::Begin(first, Answered::Badly),
        ..,
        Call::Begin(last, Answered::Well),
        Call::Complete(Answered::Well),
    ] = calls[..]
    else {
        panic!("{calls:?}")
    };
    assert_eq!(first, last, "asked again as another");
    bench.ends_with(&order, &answer).await;
}

/// The caller has its answer at once; its record has it soon afterwards.
async fn the_answer_to_the_completion_is_lost(place: Place) {
    let in_handler = Some(Mode::CutAfterRequest);
    let bench = Bench::new(&place, Fault { in_handler, heals: true, fails_open: false }).await;
    let order = Order::new("completion");
    let answer = bench.send(&order).await;
    assert_eq!((answer.status, answer.replayed), (200, false), "{answer:?}");
    bench.ends_with(&order, &answer).await;
    let calls = bench.heard();
    let of = |answered| calls.iter().filter(|call| **call == Call::Complete(answered)).count();
    assert_eq!((of(Answered::Badly), of(Answered::Well)), (1, 1), "{calls:?}");
}

/// The caller has its own answer; until the record has it as well, others are told to come back.
async fn the_store_is_gone_at_the_completion(place: Place, mode: Mode) {
    let bench = Bench::new(&place, Fault { in_handler: Some(mode), ..Fault::default() }).await;
    let order = Order::new(format!("gone-{mode:?}"));
    let since = Instant::now();
    let answer = bench.send(&order).await;
    assert_eq!((answer.status, answer.replayed), (200, false), "{answer:?}");
    assert!(since.elapsed() < TIMES.store_timeout + Duration::from_secs(2));
    assert!(bench.instance.handle.drain(Duration::ZERO).await.running > 0, "it is still at it");

    let store = place.open(Duration::from_secs(5)).await;
    let other = App::new(bench.ledger.clone(), Plan::default());
    let other = Instance::start(Watched::new(store), other, TIMES).await;
    let elsewhere = order.send(other.address).await.unwrap();
    assert!(elsewhere.is(409, "in_progress"), "{elsewhere:?}");
    bench.proxy.set(Mode::Pass);
    bench.ends_with(&order, &answer).await;
    assert_eq!(order.until_final(&[other.address]).await.body, answer.body);
}

/// Within its time it makes no difference; beyond it, the store is not there.
async fn the_store_is_slow(place: Place) {
    let bench = Bench::new(&place, Fault::default()).await;
    let order = Order::new("slow");
    bench.proxy.set(Mode::Delay(Duration::from_millis(20)));
    let answer = bench.send(&order).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    bench.ends_with(&order, &answer).await;
    the_store_is_not_there(place, Mode::Delay(TIMES.store_timeout * 2)).await;
}

/// Where that is the rule, it runs unprotected.
async fn the_store_is_not_waited_for(place: Place) {
    let bench = Bench::new(&place, Fault { fails_open: true, ..Fault::default() }).await;
    let order = Order::new("open");
    bench.proxy.set(Mode::Refuse);
    for effects in 1..=2 {
        let answer = bench.send(&order).await;
        assert_eq!((answer.status, answer.replayed), (200, false), "{answer:?}");
        assert!(answer.body.ends_with("|0|0"), "it has no claim");
        assert_eq!(bench.tally().await.effects, effects);
    }
    bench.proxy.set(Mode::Pass);
    let protected = order.until_final(&[bench.instance.address]).await;
    assert!(!protected.body.ends_with("|0|0"), "{protected:?}");
    let again = bench.send(&order).await;
    assert_eq!((again.replayed, &again.body), (true, &protected.body));
}

async fn faults(place: Place) {
    let all = tokio::join!(
        tokio::spawn(the_store_is_not_there(place.clone(), Mode::Refuse)),
        tokio::spawn(the_store_is_not_there(place.clone(), Mode::BlackHole)),
        tokio::spawn(the_answer_to_the_claim_is_lost(place.clone())),
        tokio::spawn(the_answer_to_the_completion_is_lost(place.clone())),
        tokio::spawn(the_store_is_gone_at_the_completion(place.clone(), Mode::Refuse)),
        tokio::spawn(the_store_is_gone_at_the_completion(place.clone(), Mode::BlackHole)),
        tokio::spawn(the_store_is_slow(place.clone())),
        tokio::spawn(the_store_is_not_waited_for(place.clone())),
    );
    let all = [all.0, all.1, all.2, all.3, all.4, all.5, all.6, all.7];
    all.into_iter().for_each(Result::unwrap);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_redis_ends_as_the_table_says() {
    faults(Place::redis()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_postgresql_ends_as_the_table_says() {
    faults(Place::postgres().await).await;
}
