//! What a request costs the store in memory, against the least that anybody could do: a get that
//! finds nothing and an insert, in a sharded map. Prints the ratio, and the bytes that a record
//! takes. With feature `http`, the same for a request through the layer, against its service alone.
//! With `redis` and `postgres`, what the stores on servers get done, against the same commands raw.
//!
//! ```text
//! cargo bench --bench stores --all-features [-- --test]
//! ```

#![allow(clippy::disallowed_methods, reason = "what is measured is real time")]
#![allow(clippy::cast_precision_loss, reason = "counts this small are exact")]

#[cfg(feature = "http")]
#[path = "stores/http.rs"]
mod http;
#[cfg(all(feature = "redis", feature = "postgres"))]
#[path = "stores/throughput/mod.rs"]
mod throughput;

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use buttress::idempotency::{
    Begin, BeginRequest, Claim, Fingerprint, MemoryStore, OwnerId, RecordKey, Store, StoreError,
    StoredOutcome,
};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group};

const LEASE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(86_400);

/// So many records in a store that is filled.
const MANY: usize = 50_000;

/// Every operation of this store happens in its first poll.
fn now<T>(operation: impl Future<Output = Result<T, StoreError>>) -> T {
    match pin!(operation).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answer)) => answer,
        Poll::Ready(Err(error)) => panic!("{error}"),
        Poll::Pending => panic!("the store waits for nobody"),
    }
}

fn request(number: usize) -> BeginRequest {
    let fingerprint = Fingerprint::of(number.to_le_bytes());
    // A hash, as all keys are.
    let key = RecordKey::from_bytes(*fingerprint.as_bytes());
    BeginRequest::new(key, fingerprint, OwnerId::new(number as u128), LEASE, RETENTION)
}

fn requests() -> Vec<BeginRequest> {
    (0..MANY).map(request).collect()
}

fn claim(store: &MemoryStore, request: &BeginRequest) -> Claim {
    match now(store.begin(request.clone())) {
        Begin::Acquired(claim) => claim,
        other => panic!("{other:?}"),
    }
}

/// A request that runs, with this answer.
fn run(store: &MemoryStore, request: &BeginRequest, answer: &Bytes) {
    let claim = claim(store, black_box(request));
    let outcome = StoredOutcome::new(200, answer.clone());
    let _ = black_box(now(store.complete(&claim, outcome, RETENTION)));
}

fn fill(requests: &[BeginRequest], answer: &Bytes) -> (MemoryStore, Duration) {
    let store = MemoryStore::builder().max_bytes(1 << 30).build();
    let start = Instant::now();
    for request in requests {
        run(&store, request, answer);
    }
    (store, start.elapsed())
}

/// Eight bytes of a key, with nothing done to them.
#[derive(Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = u64::from_le_bytes(bytes[..8].try_into().expect("32 bytes"));
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a record has to hold whoever keeps it, and no machine, bound or expiry.
#[derive(Clone)]
#[allow(dead_code)] // Kept, not read.
struct Plain {
    fingerprint: Fingerprint,
    owner: OwnerId,
    fence: u64,
    lease_until: Instant,
    expires_at: Instant,
    answer: Option<Bytes>,
}

#[derive(Default)]
struct Sharded {
    shards: [Mutex<HashMap<RecordKey, Plain, BuildHasherDefault<Prefix>>>; 16],
}

impl Sharded {
    /// A get and an insert, each with its lock and its look at the clock.
    fn run(&self, request: &BeginRequest, answer: &Bytes) {
        let shard = &self.shards[usize::from(request.key.as_bytes()[31] % 16)];
        assert!(shard.lock().unwrap().get(black_box(&request.key)).is_none());
        let lease_until = Instant::now() + LEASE;
        let plain = Plain {
            fingerprint: request.fingerprint,
            owner: request.owner,
            fence: 1,
            lease_until,
            expires_at: Instant::now() + RETENTION,
            answer: Some(Bytes::copy_from_slice(answer)),
        };
        black_box(shard.lock().unwrap().insert(request.key, plain));
    }
}

fn fill_sharded(requests: &[BeginRequest], answer: &Bytes) -> (Sharded, Duration) {
    let sharded = Sharded::default();
    let start = Instant::now();
    for request in requests {
        sharded.run(request, answer);
    }
    (sharded, start.elapsed())
}

fn kib() -> Bytes {
    Bytes::from(vec![7; 1024])
}

/// Medians of nine, taken in turns, so that the noise of the machine falls on both.
fn ratios() {
    let requests = requests();
    for (name, answer) in [("empty answers", Bytes::new()), ("answers of 1 KiB", kib())] {
        let mut times: [Vec<f64>; 2] = Default::default();
        for _ in 0..9 {
            let each = |time: Duration| time.as_secs_f64() * 1e9 / MANY as f64;
            times[0].push(each(fill(&requests, &answer).1));
            times[1].push(each(fill_sharded(&requests, &answer).1));
        }
        let [store, map] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        println!(
            "{name}: begin + complete {store:.0} ns, get + insert {map:.0} ns: ratio {:.2}",
            store / map
        );
    }
}

/// What is taken from the allocator and kept, for each of many records.
fn bytes_per_record() {
    let requests = requests();
    let per_record = |name: &str, fill: &mut dyn FnMut() -> MemoryStore| {
        let mut kept = None;
        let counted = allocation_counter::measure(|| kept = Some(fill()));
        let store = kept.expect("it was filled");
        println!(
            "{name}: {} bytes a record from the allocator, {} as the bound counts them",
            counted.bytes_current / i64::try_from(MANY).expect("not that many"),
            store.bytes() / MANY
        );
    };
    per_record("in flight", &mut || {
        let store = MemoryStore::new();
        for request in &requests {
            let _ = claim(&store, request);
        }
        store
    });
    per_record("completed with 1 KiB", &mut || fill(&requests, &kib()).0);
    per_record("tombstone", &mut || {
        let store = MemoryStore::new();
        for request in &requests {
            let claim = claim(&store, request);
            let _ = now(store.complete(&claim, StoredOutcome::tombstone(200), RETENTION));
        }
        store
    });
}

fn stores(c: &mut Criterion) {
    let requests = requests();
    let mut group = c.benchmark_group("stores");
    group.throughput(Throughput::Elements(1));
    let per_element = |rounds: u64, fill: &dyn Fn() -> Duration| {
        let each = (0..rounds.div_ceil(MANY as u64)).map(|_| fill()).sum::<Duration>();
        each.mul_f64(rounds as f64 / (rounds.div_ceil(MANY as u64) * MANY as u64) as f64)
    };
    for (name, answer) in [("empty", Bytes::new()), ("1 KiB", kib())] {
        group.bench_function(format!("sharded map, get + insert, {name}"), |b| {
            b.iter_custom(|n| per_element(n, &|| fill_sharded(&requests, &answer).1));
        });
        group.bench_function(format!("memory, begin + complete, {name}"), |b| {
            b.iter_custom(|n| per_element(n, &|| fill(&requests, &answer).1));
        });
    }
    let (store, _) = fill(&requests, &kib());
    let mut turns = requests.iter().cycle();
    group.bench_function("memory, replay of 1 KiB", |b| {
        b.iter(|| now(store.begin(black_box(turns.next().unwrap().clone()))));
    });
    let store = MemoryStore::new();
    let held = claim(&store, &requests[0]);
    let mut other = requests[0].clone();
    other.owner = OwnerId::new(u128::MAX);
    group.bench_function("memory, in progress", |b| {
        b.iter(|| now(store.begin(black_box(other.clone()))));
    });
    group.bench_function("memory, renew", |b| {
        b.iter(|| now(store.renew(black_box(&held), LEASE)));
    });
    group.finish();
}

criterion_group!(benches, stores);

fn main() {
    ratios();
    bytes_per_record();
    #[cfg(feature = "http")]
    http::table();
    #[cfg(all(feature = "redis", feature = "postgres"))]
    throughput::table();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
