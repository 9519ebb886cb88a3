//! What it is for: a slow few cost a few calls more, and not the tail.

use std::convert::Infallible;

use buttress::hedge::{Delay, HedgeLayer};
use buttress::retry::Idempotent;
use buttress::{Error, LiftLayer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::MS;

/// Calls after the warm-up, of each seed.
const CALLS: usize = 12_000;

/// Twenty-five replicas, each call to one of them by chance, of which one is twenty times as slow.
#[derive(Debug)]
struct Replicas {
    chance: AtomicU64,
    calls: AtomicUsize,
}

impl Replicas {
    fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { chance: AtomicU64::new(seed), calls: AtomicUsize::new(0) })
    }

    /// `SplitMix64`: a stream for each seed.
    fn draw(&self, below: u64) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.chance.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }

    async fn call(self: Arc<Self>, slow: u64) -> Result<(), Infallible> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // From 8 to 12 ms, in steps of 10 us.
        let time = 8 * MS + MS * u32::try_from(self.draw(400)).unwrap() / 100;
        let time = if self.draw(100) < slow { time * 20 } else { time };
        tokio::time::sleep(time).await;
        Ok(())
    }
}

/// The latencies of many calls, 20 at a time, in milliseconds, sorted.
async fn latencies<S>(service: S, count: usize) -> Vec<u128>
where
    S: Service<(), Response = (), Error = Error<Infallible>> + Clone,
{
    let callers = (0..20).map(|_| {
        let service = service.clone();
        async move {
            let mut times = Vec::new();
            for _ in 0..count / 20 {
                let start = Instant::now();
                service.clone().oneshot(()).await.unwrap();
                times.push(start.elapsed().as_millis());
            }
            times
        }
    });
    let mut all = futures::future::join_all(callers).await.concat();
    all.sort_unstable();
    all
}

/// The 99th percentile without and with a hedge, and the calls that were added, in percent.
async fn measure(seed: u64, slow: u64, delay: Delay) -> (u128, u128, f64) {
    let p99 = |sorted: &[u128]| sorted[sorted.len() * 99 / 100];
    let base = |replicas: &Arc<Replicas>| {
        let replicas = replicas.clone();
        LiftLayer.layer(service_fn(move |()| replicas.clone().call(slow)))
    };
    let alone = latencies(base(&Replicas::new(seed)), CALLS).await;
    let replicas = Replicas::new(seed);
    let service = HedgeLayer::builder(Idempotent).delay(delay).build().layer(base(&replicas));
    latencies(service.clone(), 1000).await;
    let before = replicas.calls.load(Ordering::Relaxed);
    let hedged = latencies(service, CALLS).await;
    let added = replicas.calls.load(Ordering::Relaxed) - before - CALLS;
    #[allow(clippy::cast_precision_loss)]
    let percent = 100.0 * added as f64 / CALLS as f64;
    (p99(&alone), p99(&hedged), percent)
}

#[tokio::test(start_paused = true)]
async fn with_one_replica_in_25_slow_by_20_the_99th_percentile_falls_to_a_fifth_for_under_6_percent()
 {
    for seed in 0..8 {
        let (alone, hedged, added) = measure(seed, 4, Delay::default()).await;
        assert!(alone >= 160, "{seed}: without a hedge it must be bad: {alone} ms");
        assert!(alone >= 5 * hedged, "{seed}: {alone} ms, then {hedged} ms");
        assert!((3.5..6.0).contains(&added), "{seed}: {added} % more calls");
    }
}

/// Ten replicas of which one is twenty times as slow, behind a balancer that gives each call to the
/// less busy one of two.
#[derive(Debug)]
struct Balanced {
    replicas: Arc<Replicas>,
    busy: [AtomicUsize; 10],
}

impl Balanced {
    fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { replicas: Replicas::new(seed), busy: Default::default() })
    }

    async fn call(self: Arc<Self>) -> Result<(), Infallible> {
        let one = usize::try_from(self.replicas.draw(10)).unwrap();
        let other = (one + 1 + usize::try_from(self.replicas.draw(9)).unwrap()) % 10;
        let busy = |replica: usize| self.busy[replica].load(Ordering::Relaxed);
        let chosen = if busy(one) <= busy(other) { one } else { other };
        let _busy = Busy::on(&self.busy[chosen]);
        self.replicas.clone().call(if chosen == 0 { 100 } else { 0 }).await
    }
}

/// A call that a replica is busy with, until its end or its cancel.
struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn on(replica: &'a AtomicUsize) -> Self {
        replica.fetch_add(1, Ordering::Relaxed);
        Self(replica)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The same for calls that come 1,000 times a second, whatever becomes of those before: every
/// replica has about one.
async fn measure_balanced(seed: u64) -> (u128, u128, f64) {
    let run = async |hedged: bool| {
        let balanced = Balanced::new(seed);
        let base = LiftLayer.layer(service_fn({
            let balanced = balanced.clone();
            move |()| balanced.clone().call()
        }));
        let hedge = HedgeLayer::new(Idempotent);
        let mut calls = tokio::task::JoinSet::new();
        let mut before = 0;
        for number in 0..CALLS + 1000 {
            if number == 1000 {
                before = balanced.replicas.calls.load(Ordering::Relaxed);
            }
            let (hedge, base) = (hedge.clone(), base.clone());
            calls.spawn(async move {
                let start = Instant::now();
                if hedged {
                    hedge.layer(base).oneshot(()).await.unwrap();
                } else {
                    base.oneshot(()).await.unwrap();
                }
                (number, start.elapsed().as_millis())
            });
            tokio::time::sleep(MS).await;
        }
        let all = calls.join_all().await;
        let warm = all.into_iter().filter(|(number, _)| *number >= 1000);
        let mut times: Vec<_> = warm.map(|(_, time)| time).collect();
        times.sort_unstable();
        (times[CALLS * 99 / 100], balanced.replicas.calls.load(Ordering::Relaxed) - before)
    };
    let ((alone, _), (hedged, sent)) = (run(false).await, run(true).await);
    #[allow(clippy::cast_precision_loss)]
    let percent = 100.0 * (sent - CALLS) as f64 / CALLS as f64;
    (alone, hedged, percent)
}

#[tokio::test(start_paused = true)]
async fn with_one_replica_in_ten_slow_by_20_the_99th_percentile_falls_to_a_fifth_for_under_6_percent()
 {
    for seed in 0..8 {
        let (alone, hedged, added) = measure_balanced(seed).await;
        assert!(alone >= 160, "{seed}: without a hedge it must be bad: {alone} ms");
        assert!(alone >= 5 * hedged, "{seed}: {alone} ms, then {hedged} ms");
        assert!((1.0..6.0).contains(&added), "{seed}: {added} % more calls");
    }
}

/// Whoever hedges fewer calls than are slow leaves slow ones over.
#[tokio::test(start_paused = true)]
async fn where_more_calls_are_slow_a_lower_percentile_helps_at_its_price() {
    for seed in 0..4 {
        let (alone, hedged, added) = measure(seed, 8, Delay::Percentile(0.9)).await;
        assert!(alone >= 5 * hedged, "{seed}: {alone} ms, then {hedged} ms");
        assert!((7.0..12.0).contains(&added), "{seed}: {added} % more calls");
    }
}

/// A fixed delay learns nothing: what is slow for all would be sent twice for all.
#[tokio::test(start_paused = true)]
async fn where_all_becomes_slow_at_once_the_budget_bounds_what_is_added() {
    for seed in 0..4 {
        let replicas = Replicas::new(seed);
        let slow = Arc::new(AtomicU64::new(0));
        let base = service_fn({
            let (replicas, slow) = (replicas.clone(), slow.clone());
            move |()| replicas.clone().call(slow.load(Ordering::Relaxed))
        });
        let service = HedgeLayer::builder(Idempotent).delay(Delay::Fixed(15 * MS)).build();
        let service = service.layer(LiftLayer.layer(base));
        latencies(service.clone(), CALLS).await;
        slow.store(100, Ordering::Relaxed);
        let before = replicas.calls.load(Ordering::Relaxed);
        latencies(service, CALLS).await;
        let added = replicas.calls.load(Ordering::Relaxed) - before - CALLS;
        // For 120 s or more a fifth of 100 calls a second, and 10 a second; and what was saved up.
        assert!((3_000..6_500).contains(&added), "{seed}: {added} calls more");
    }
}
