//! Retention, leases, takeovers, and those who come back from the dead.

use std::sync::Arc;
use std::time::Duration;

use buttress::idempotency::{LeaseExpiry, RecordState, Store};
use buttress::observe::IdempotencyResult as Done;
use tokio::sync::Notify;

use super::{
    LEASE, MS, Memory, Runs, S, Shop, Told, answer, begin, call, memory, post, record, settle,
    shop, slow, state, unscoped,
};
use crate::support::faulty::{Fault, Op};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test(start_paused = true)]
async fn a_record_lasts_for_the_retention_counted_from_its_completion() {
    let (store, runs) = (memory(), Runs::default());
    let service = slow(&unscoped(&store).build(), &runs, 100 * S);
    call(&service, post("k", "")).await.is_own(201, "run 1");
    tokio::time::sleep(DAY.saturating_sub(MS)).await;
    call(&service, post("k", "")).await.is_replayed(201, "run 1");
    tokio::time::sleep(MS).await;
    call(&service, post("k", "other")).await.is_own(201, "run 2");
}

#[tokio::test(start_paused = true)]
async fn a_call_longer_than_the_retention_keeps_its_record() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).retention(LEASE).build();
    let service = slow(&layer, &runs, 10 * LEASE);
    let first = begin(&service, post("k", ""));
    for _ in 0..9 {
        tokio::time::sleep(LEASE).await;
        call(&service, post("k", "")).await.is_refused(409, "in_progress");
    }
    first.await.is_own(201, "run 1");
    call(&service, post("k", "")).await.is_replayed(201, "run 1");
    assert_eq!(runs.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_renewed_three_times_as_often_as_is_necessary() {
    let (store, runs) = (memory(), Runs::default());
    let service = slow(&unscoped(&store).build(), &runs, 600 * S);
    let first = begin(&service, post("k", ""));
    for _ in 0..600 {
        tokio::time::sleep(S).await;
        let Some(snapshot) = record(&store).await else { panic!("no record") };
        if snapshot.state == RecordState::InFlight {
            assert!(snapshot.lease_remaining.unwrap() > LEASE / 3);
        }
    }
    first.await.is_own(201, "run 1");
    assert!((24..=36).contains(&store.calls(Op::Renew)), "{}", store.calls(Op::Renew));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_is_repeated_at_once_and_then_every_second() {
    let (store, runs) = (memory(), Runs::default());
    let service = slow(&unscoped(&store).build(), &runs, 100 * S);
    let first = begin(&service, post("k", ""));
    settle().await;
    store.then(Op::Renew, [Fault::Refused; 12]);
    tokio::time::sleep(LEASE).await;
    assert!(store.calls(Op::Renew) >= 13, "{}", store.calls(Op::Renew));
    call(&service, post("k", "")).await.is_refused(409, "in_progress");
    first.await.is_own(201, "run 1");
}

#[tokio::test(start_paused = true)]
async fn after_max_execution_a_handler_is_taken_for_hung() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).max_execution(5 * LEASE).build();
    let told = Arc::new(Notify::new());
    let hears = told.clone();
    let service = shop(&layer, &runs, move |work: super::Work| {
        let told = told.clone();
        async move {
            if work.run > 1 {
                return answer(201, "taken over");
            }
            work.context().lost().cancelled().await;
            told.notify_one();
            std::future::pending().await
        }
    });
    let hung = begin(&service, post("k", ""));
    let since = tokio::time::Instant::now();
    hears.notified().await;
    assert!(since.elapsed() >= 5 * LEASE && since.elapsed() <= 6 * LEASE, "{:?}", since.elapsed());
    tokio::time::sleep(LEASE).await;
    call(&service, post("k", "")).await.is_own(201, "taken over");
    drop(hung);
}

/// A shop whose first runs stop until they are told to go on, and answer with what they are.
struct Zombies {
    store: Memory,
    runs: Runs,
    service: Shop<super::Sent>,
    wake: Arc<Notify>,
    told: Told,
}

impl Zombies {
    fn new(asleep: usize, configure: impl FnOnce(Builder) -> Builder) -> Self {
        let (store, runs, told) = (memory(), Runs::default(), Told::default());
        let wake = Arc::new(Notify::new());
        let layer = configure(unscoped(&store)).observe(told.listener()).build();
        let woken = wake.clone();
        let service = shop(&layer, &runs, move |work: super::Work| {
            let woken = woken.clone();
            async move {
                if work.run <= asleep {
                    woken.notified().await;
                }
                let context = work.context();
                assert_eq!(context.is_takeover(), context.attempt() > 1);
                answer(201, &format!("attempt {}", context.attempt()))
            }
        });
        Self { store, runs, service, wake, told }
    }

    /// A request whose process is not heard of for longer than its lease.
    async fn falls_asleep(&self) -> futures::future::BoxFuture<'static, super::Answer> {
        let call = begin(&self.service, post("k", ""));
        settle().await;
        self.store.always(Op::Renew, Fault::Hangs);
        tokio::time::sleep(LEASE + S).await;
        self.store.always(Op::Renew, Fault::None);
        call
    }

    async fn again(&self) -> super::Answer {
        call(&self.service, post("k", "")).await
    }
}

type Builder = buttress::idempotency::Builder<Memory, buttress::idempotency::Scoped>;

#[tokio::test(start_paused = true)]
async fn the_next_request_takes_over_with_a_greater_fence() {
    let shop = Zombies::new(1, |builder| builder);
    let zombie = begin(&shop.service, post("k", ""));
    settle().await;
    let before = record(&shop.store).await.unwrap();
    shop.store.always(Op::Renew, Fault::Hangs);
    // To the instant.
    tokio::time::sleep(LEASE.saturating_sub(MS)).await;
    shop.again().await.is_refused(409, "in_progress");
    tokio::time::sleep(MS).await;
    shop.again().await.is_own(201, "attempt 2");
    let after = record(&shop.store).await.unwrap();
    assert!(after.fence > before.fence);
    assert_eq!((before.attempt, after.attempt), (1, 2));
    assert_eq!(shop.told.results().iter().filter(|result| **result == Done::Takeover).count(), 1);
    drop(zombie);
}

#[tokio::test(start_paused = true)]
async fn a_takeover_takes_the_same_fingerprint() {
    let shop = Zombies::new(1, |builder| builder);
    let zombie = shop.falls_asleep().await;
    call(&shop.service, post("k", "else")).await.is_refused(422, "fingerprint_mismatch");
    shop.again().await.is_own(201, "attempt 2");
    drop(zombie);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_brings_its_holders_down_is_not_tried_for_ever() {
    let shop = Zombies::new(99, |builder| builder.max_attempts(3));
    let mut dead = Vec::new();
    for _ in 0..3 {
        dead.push(shop.falls_asleep().await);
    }
    shop.again().await.is_refused(409, "outcome_unknown");
    assert_eq!(shop.runs.started(), 3);
}

#[tokio::test(start_paused = true)]
async fn where_a_lapsed_lease_means_that_nobody_knows_nobody_takes_over() {
    let shop = Zombies::new(1, |builder| builder.on_lease_expiry(LeaseExpiry::Indeterminate));
    let zombie = shop.falls_asleep().await;
    shop.again().await.is_refused(409, "outcome_unknown");
    shop.wake.notify_one();
    // It is late, and its answer is not the one that others were told.
    zombie.await.is_refused(409, "outcome_unknown");
    assert_eq!(shop.runs.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_zombie_answers_with_what_everybody_else_gets() {
    let shop = Zombies::new(1, |builder| builder);
    let zombie = shop.falls_asleep().await;
    shop.again().await.is_own(201, "attempt 2");
    shop.wake.notify_one();
    zombie.await.is_replayed(201, "attempt 2");
    shop.again().await.is_replayed(201, "attempt 2");
    let fenced = shop.told.results().iter().filter(|result| **result == Done::Fenced).count();
    assert_eq!((fenced, shop.told.gauges()), (1, (0, 0)), "counted once");
}

#[tokio::test(start_paused = true)]
async fn a_zombie_does_not_answer_for_one_that_still_runs() {
    let shop = Zombies::new(2, |builder| builder);
    let zombie = shop.falls_asleep().await;
    let second = begin(&shop.service, post("k", ""));
    settle().await;
    shop.wake.notify_one();
    let refused = zombie.await;
    refused.is_refused(409, "in_progress");
    assert_eq!(refused.header("retry-after"), Some("1"));
    shop.wake.notify_one();
    second.await.is_own(201, "attempt 2");
    assert_eq!(shop.told.gauges(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_zombie_stores_its_answer_where_the_key_is_free() {
    let shop = Zombies::new(1, |builder| builder);
    let zombie = shop.falls_asleep().await;
    shop.store.forget(&shop.store.last_key()).await.unwrap();
    shop.wake.notify_one();
    zombie.await.is_own(201, "attempt 1");
    shop.again().await.is_replayed(201, "attempt 1");
    assert_eq!(shop.runs.started(), 1);
}

/// Nobody has taken over: the lease has lapsed, and the claim is still its own.
#[tokio::test(start_paused = true)]
async fn who_is_late_but_was_not_taken_over_stores_its_answer() {
    let shop = Zombies::new(1, |builder| builder);
    let zombie = shop.falls_asleep().await;
    shop.wake.notify_one();
    zombie.await.is_own(201, "attempt 1");
    shop.again().await.is_replayed(201, "attempt 1");
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_told_that_it_was_taken_over() {
    let (store, runs, told) = (memory(), Runs::default(), Told::default());
    let layer = unscoped(&store).observe(told.listener()).build();
    let service = shop(&layer, &runs, async |work| {
        if work.run > 1 {
            return answer(201, "taken over");
        }
        work.context().lost().cancelled().await;
        answer(500, "stopped")
    });
    let first = begin(&service, post("k", ""));
    settle().await;
    store.forget(&store.last_key()).await.unwrap();
    call(&service, post("k", "")).await.is_own(201, "taken over");
    first.await.is_own(500, "stopped");
    let fenced = told.results().iter().filter(|result| **result == Done::Fenced).count();
    assert_eq!(fenced, 1, "however often it is found");
    // What it let go of was not its own any more.
    call(&service, post("k", "")).await.is_replayed(201, "taken over");
}

#[tokio::test(start_paused = true)]
async fn a_takeover_whose_caller_left_forgets_nothing_of_the_one_before() {
    let (dead, runs) = (memory(), Runs::default());
    // Another process, of which nothing is heard any more.
    let store = Memory::new(dead.inner.clone());
    dead.always(Op::Renew, Fault::Hangs);
    let zombie = begin(&slow(&unscoped(&dead).build(), &runs, 9 * LEASE), post("k", ""));
    tokio::time::sleep(LEASE).await;
    let service = shop(&unscoped(&store).build(), &runs, async |work| {
        answer(201, &format!("attempt {}", work.context().attempt()))
    });
    store.then(Op::Begin, [Fault::Delayed(S)]);
    let left = begin(&service, post("k", ""));
    settle().await;
    drop(left);
    tokio::time::sleep(2 * S).await;
    assert_eq!((state(&store).await, runs.started()), (Some(RecordState::InFlight), 1));
    call(&service, post("k", "else")).await.is_refused(422, "fingerprint_mismatch");
    call(&service, post("k", "")).await.is_own(201, "attempt 3");
    drop(zombie);
}
