//! Scenarios 33, 34, 36: requests that are sent again, and take effect once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::idempotency::{
    Abandon, Begin, BeginRequest, Claim, Concurrent, Fenced, Fingerprint, Idempotent, KeyError,
    MemoryStore, OnStoreError, OpIdentity, OperationBuilder, OperationError, OperationLayer,
    OutcomeCodec, RecordKey, Scope, Snapshot, Store, StoreError, StoredOutcome,
};
use buttress::observe::{EventKind, IdempotencyResult};
use buttress::retry::{Backoff, Budget, RetryLayer};
use buttress::sim::{
    Clients, Endpoint, Failure, Faults, Latency, Plan, Report, Request, Response, RetryPolicy,
    Server, Workers, World, ensure,
};
use buttress::timeout::TimeoutLayer;
use buttress::{BoxError, Error, LiftLayer};
use bytes::Bytes;
use futures::future::join_all;
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::stacks::{Stacked, check, ms, seconds};
use crate::tools::{Finding, locked};

/// What the workers have done, by request: how often, and what they answered.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<BTreeMap<u64, Entry>>>);

type Entry = (u32, Option<Response>);

impl Ledger {
    fn effects(&self, id: u64) -> u32 {
        locked(&self.0).get(&id).map_or(0, |entry| entry.0)
    }

    fn most(&self) -> u32 {
        locked(&self.0).values().map(|entry| entry.0).max().unwrap_or(0)
    }

    /// The workers, each of whose answers stands for an effect.
    fn before(&self, workers: Workers) -> impl Stacked + use<> {
        let ledger = self.clone();
        let workers = ServiceBuilder::new().layer(LiftLayer).service(workers);
        service_fn(move |request: Request| {
            let (ledger, workers) = (ledger.clone(), workers.clone());
            async move {
                let id = request.id;
                let response = workers.oneshot(request).await?;
                let mut entries = locked(&ledger.0);
                let entry = entries.entry(id).or_default();
                *entry = (entry.0 + 1, Some(response));
                Ok(response)
            }
        })
    }
}

#[allow(clippy::unnecessary_wraps, reason = "as an `Operation` has it")]
fn identify(request: &Request) -> Result<Option<OpIdentity>, KeyError> {
    let id = request.id.to_be_bytes();
    Ok(Some(OpIdentity::new(Scope::new("shop"), "order", id, Fingerprint::of(id))))
}

/// Answers by what the ledger has: a simulated answer is nothing else.
impl OutcomeCodec<Response, Error<Failure>> for Ledger {
    fn encode(&self, outcome: &Result<Response, Error<Failure>>) -> Result<Bytes, BoxError> {
        let response = outcome.as_ref().map_err(ToString::to_string)?;
        Ok(Bytes::copy_from_slice(&response.id.to_be_bytes()))
    }

    fn decode(&self, bytes: Bytes) -> Result<Result<Response, Error<Failure>>, BoxError> {
        let id = u64::from_be_bytes(bytes[..].try_into()?);
        let kept = locked(&self.0).get(&id).and_then(|entry| entry.1);
        Ok(Ok(kept.ok_or("an answer without an effect")?))
    }
}

/// A server of orders whose replies get lost, then slow, then cut off: customers ask again.
fn orders() -> Plan {
    let faults = Faults::new()
        .lose_replies("orders", 0.4, seconds(2), seconds(4))
        .slow("orders", 8.0, seconds(8), seconds(2))
        .partition("orders", seconds(12), seconds(1));
    Plan::new(seconds(16))
        .server("orders", Server::workers(20, Latency::exponential(ms(50))))
        .clients("shop", Clients::open(60.0).deadline(seconds(4)))
        .faults(faults)
}

/// Customers who try six times, and give an attempt 400 ms.
fn patient(world: &World<'_>, server: Endpoint) -> impl Stacked + use<> {
    let retry = RetryLayer::builder(RetryPolicy)
        .max_attempts(6)
        .backoff(Backoff::exponential(ms(50), ms(800)))
        .budget(Budget::ratio(1.0).at_least(1000))
        .seed(world.seed("retry"))
        .observe(world.observer())
        .build();
    ServiceBuilder::new()
        .layer(retry)
        .layer(TimeoutLayer::new(ms(400)))
        .layer(LiftLayer)
        .service(server)
}

/// The server's side: what the builder makes of the defaults, before workers that keep a ledger.
fn keyed<St: Store>(
    ledger: &Ledger,
    store: St,
    set: impl FnOnce(Builder<St>) -> Builder<St>,
    workers: Workers,
) -> Keyed {
    let builder = OperationLayer::builder(store, identify as Identify, ledger.clone());
    let layer = set(builder.name("keys")).build();
    BoxCloneSyncService::new(
        ServiceBuilder::new()
            .map_response(Idempotent::into_inner)
            .layer(layer)
            .service(ledger.before(workers)),
    )
}

type Keyed = BoxCloneSyncService<Request, Response, OperationError<Error<Failure>>>;

type Identify = fn(&Request) -> Result<Option<OpIdentity>, KeyError>;
type Builder<St> = OperationBuilder<Identify, Ledger, St>;

fn happened(report: &Report, result: IdempotencyResult) -> u64 {
    report.events_of("keys", |kind| *kind == EventKind::Idempotency(result))
}

/// No request has more than one effect, and whatever was answered has one.
fn once(world: &mut World<'_>, ledger: &Ledger) {
    let ledger = ledger.clone();
    world.always("one effect for each request", move || {
        ensure(ledger.most() <= 1, || format!("one has had {}", ledger.most()))
    });
}

#[test]
fn s33_a_reply_lost_after_the_effect_leaves_one_effect() {
    check(orders()).holds(
        |world| {
            let ledger = Ledger::default();
            once(world, &ledger);
            let (observer, seed) = (world.observer(), world.seed("keys"));
            let server = world.server_behind("orders", |workers| {
                let set = |keys: Builder<_>| keys.observe(observer).seed(seed);
                keyed(&ledger, MemoryStore::new(), set, workers)
            });
            let answered = Finding::of(world, "an answer stands for an effect");
            let stack = patient(world, server);
            let stack = ServiceBuilder::new()
                .map_result(move |outcome: Result<Response, _>| {
                    if let Ok(response) = &outcome {
                        let effects = ledger.effects(response.id);
                        answered.ensure(effects == 1, || format!("one for {effects}"));
                    }
                    outcome
                })
                .service(stack);
            world.clients("shop", stack);
        },
        |report| {
            let replayed = happened(report, IdempotencyResult::Replayed);
            ensure(replayed > 0, || "no answer was given twice".to_owned())?;
            let share = report.goodput_between(seconds(2), seconds(6));
            ensure(share > 0.9, || format!("{share} of them were answered"))
        },
    );
}

#[test]
fn s33_without_keys_lost_replies_have_effects_twice() {
    check(orders()).at_most(16).holds(
        |world| {
            let ledger = Ledger::default();
            let twice = world.sometimes("two effects");
            let kept = ledger.clone();
            world.always("looked at", move || {
                if kept.most() > 1 {
                    twice.happened();
                }
                Ok(())
            });
            let server = world.server_behind("orders", |workers| ledger.before(workers));
            let stack = patient(world, server);
            world.clients("shop", stack);
        },
        |report| ensure(report.sometimes["two effects"] > 0, || "none".to_owned()),
    );
}

#[test]
fn s34_of_100_concurrent_duplicates_one_runs_and_all_are_answered() {
    let plan = Plan::new(seconds(8))
        .server("orders", Server::workers(20, Latency::exponential(ms(100))))
        .clients("shop", Clients::open(5.0).deadline(seconds(4)));
    check(plan).holds(
        |world| {
            let ledger = Ledger::default();
            once(world, &ledger);
            let (observer, seed) = (world.observer(), world.seed("keys"));
            let server = world.server_behind("orders", |workers| {
                let wait = Concurrent::Wait { timeout: seconds(3), max_waiters: 100 };
                let set = |keys: Builder<_>| keys.observe(observer).seed(seed).on_concurrent(wait);
                keyed(&ledger, MemoryStore::new(), set, workers)
            });
            let alike = Finding::of(world, "all get the one answer");
            let stack = service_fn(move |request: Request| {
                let (server, alike) = (server.clone(), alike.clone());
                async move {
                    let calls = (0..100).map(|_| server.clone().oneshot(request.clone()));
                    let answers = join_all(calls).await;
                    let first = answers[0];
                    let same = answers.iter().all(|answer| *answer == first && answer.is_ok());
                    alike.ensure(same, || format!("{answers:?}"));
                    first
                }
            });
            world.clients("shop", stack);
        },
        |report| {
            let ran = happened(report, IdempotencyResult::Executed);
            let replayed = happened(report, IdempotencyResult::Replayed);
            ensure(ran == report.offered() && replayed == 99 * ran, || {
                format!("{ran} of {} ran, {replayed} were replayed", report.offered())
            })
        },
    );
}

/// A store that cannot be reached for a while, and that has applied half of what it was asked then.
struct Outage {
    store: MemoryStore,
    from: Instant,
    until: Instant,
}

impl Outage {
    fn new(from: Duration, until: Duration) -> Self {
        let now = Instant::now();
        Self { store: MemoryStore::new(), from: now + from, until: now + until }
    }

    async fn through<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
        half: bool,
    ) -> Result<T, StoreError> {
        if !(self.from..self.until).contains(&Instant::now()) {
            return call.await;
        }
        if half {
            // Applied, and the answer lost.
            call.await?;
        }
        Err(StoreError::Unavailable("cut off".into()))
    }
}

impl Store for Outage {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        let half = request.key.as_bytes()[0].is_multiple_of(2);
        self.through(self.store.begin(request), half).await
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Fenced, StoreError> {
        self.through(self.store.renew(claim, lease), true).await
    }

    async fn mark_effects(&self, claim: &Claim) -> Result<Fenced, StoreError> {
        self.through(self.store.mark_effects(claim), true).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        outcome: StoredOutcome,
        retention: Duration,
    ) -> Result<Fenced, StoreError> {
        let half = claim.fence.get().is_multiple_of(2);
        self.through(self.store.complete(claim, outcome, retention), half).await
    }

    async fn abandon(&self, claim: &Claim, how: Abandon) -> Result<Fenced, StoreError> {
        self.through(self.store.abandon(claim, how), false).await
    }

    async fn inspect(&self, key: &RecordKey) -> Result<Option<Snapshot>, StoreError> {
        self.through(self.store.inspect(key), false).await
    }

    async fn forget(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.through(self.store.forget(key), false).await
    }
}

/// While the store is away for three seconds, replies get lost as well.
fn without_a_store() -> Plan {
    Plan::new(seconds(12))
        .server("orders", Server::workers(20, Latency::exponential(ms(50))))
        .clients("shop", Clients::open(60.0).deadline(seconds(2)))
        .faults(Faults::new().lose_replies("orders", 0.2, seconds(1), seconds(9)))
}

fn with_an_outage(world: &mut World<'_>, policy: OnStoreError, ledger: &Ledger) {
    let (observer, seed) = (world.observer(), world.seed("keys"));
    let server = world.server_behind("orders", |workers| {
        let store = Outage::new(seconds(4), seconds(7));
        let set = |keys: Builder<_>| keys.observe(observer).seed(seed).on_store_error(policy);
        keyed(ledger, store, set, workers)
    });
    let stack = patient(world, server);
    world.clients("shop", stack);
}

#[test]
fn s36_while_the_store_is_away_requests_are_refused_and_none_runs_twice() {
    check(without_a_store()).holds(
        |world| {
            let ledger = Ledger::default();
            once(world, &ledger);
            with_an_outage(world, OnStoreError::FailClosed, &ledger);
        },
        |report| {
            let failed = happened(report, IdempotencyResult::StoreError);
            let (during, after) = (
                report.goodput_between(ms(4500), ms(6500)),
                report.goodput_between(ms(8000), ms(11_000)),
            );
            ensure(failed > 0 && during < 0.8 && after > 0.95, || {
                format!("{failed} failed, {during} good meanwhile, {after} afterwards")
            })
        },
    );
}

#[test]
fn s36_a_layer_that_fails_open_serves_while_the_store_is_away() {
    check(without_a_store()).holds(
        |world| with_an_outage(world, OnStoreError::FailOpen, &Ledger::default()),
        |report| {
            let unprotected = happened(report, IdempotencyResult::Bypass);
            let during = report.goodput_between(ms(4500), ms(6500));
            ensure(unprotected > 0 && during > 0.95, || {
                format!("{unprotected} unprotected, {during} good meanwhile")
            })
        },
    );
}
