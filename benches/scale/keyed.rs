//! A circuit breaker for each key: what a call pays for finding its own, from one key to a million,
//! and what a key takes from the allocator, beside its breaker.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Mutex;

use allocation_counter::measure;
use buttress::BoxError;
use buttress::circuit_breaker::{CircuitBreaker, CircuitBreakerLayer};
use buttress::keyed::{Handle, KeyedLayer};
use criterion::{BenchmarkId, Criterion};
use tower::util::ServiceFn;
use tower::{Layer, Service, service_fn};

use crate::call;

/// All of it: for `main`.
pub(crate) fn groups(c: &mut Criterion) {
    lookups(c);
    misses(c);
    bytes_per_key();
}

type Base = ServiceFn<fn(u64) -> Ready<Result<u64, BoxError>>>;
type Breakers = Handle<u64, CircuitBreakerLayer>;

fn base() -> Base {
    service_fn(|request| ready(Ok(request)))
}

fn breaker() -> CircuitBreakerLayer {
    CircuitBreakerLayer::builder().consecutive_failures(5).build()
}

/// With so many keys in it already.
fn filled(
    keys: u64,
) -> (impl Service<u64, Response = u64, Error = BoxError, Future: Send> + Clone, Breakers) {
    let layer = KeyedLayer::builder(|request: &u64| *request, |_: &u64| breaker())
        .capacity(usize::try_from(keys).expect("so many fit in memory"))
        .build();
    let mut service = layer.layer(base());
    for key in 0..keys {
        assert_eq!(call(&mut service, key), key);
    }
    let handle = layer.handle();
    assert_eq!(handle.len() as u64, keys);
    (service, handle)
}

/// Whether each benchmark is only to be run once.
fn once() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

fn counts() -> [u64; 3] {
    if once() { [1, 10, 1_000] } else { [1, 1_000, 1_000_000] }
}

/// A sequence that visits keys as if at random, without a generator's cost worth mentioning.
fn next(at: &mut u64, keys: u64) -> u64 {
    *at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*at >> 33) % keys
}

fn lookups(c: &mut Criterion) {
    let mut group = c.benchmark_group("keyed");
    let mut alone = breaker().layer(base());
    group.bench_function("a breaker alone", |b| b.iter(|| call(&mut alone, 7)));
    for keys in counts() {
        let (mut service, _handle) = filled(keys);
        // What the lookup costs, however many there are.
        group.bench_function(BenchmarkId::new("one key among", keys), |b| {
            b.iter(|| call(&mut service, keys / 2));
        });
        // The same, and what memory costs: far more keys than the caches hold.
        let mut at = 1;
        group.bench_function(BenchmarkId::new("any key of", keys), |b| {
            b.iter(|| call(&mut service, next(&mut at, keys)));
        });
        drop(service);
        // What anybody pays who looks something up in that many.
        let mut breakers: HashMap<u64, CircuitBreaker<Base>> = HashMap::new();
        breakers.extend((0..keys).map(|key| (key, breaker().layer(base()))));
        let breakers = Mutex::new(breakers);
        group.bench_function(BenchmarkId::new("a map behind a lock, any key of", keys), |b| {
            b.iter(|| {
                let key = next(&mut at, keys);
                let mut breaker = breakers.lock().expect("nobody panics")[&key].clone();
                call(&mut breaker, black_box(key))
            });
        });
    }
    group.finish();
}

/// New keys all the time, each in the place of one that is idle.
fn misses(c: &mut Criterion) {
    let mut group = c.benchmark_group("keyed");
    for keys in counts() {
        let (mut service, _handle) = filled(keys);
        let mut key = keys;
        group.bench_function(BenchmarkId::new("a new key, of at most", keys), |b| {
            b.iter(|| {
                key += 1;
                call(&mut service, key)
            });
        });
    }
    group.finish();
}

/// Less what the same breakers take without keys.
fn bytes_per_key() {
    let counts = if once() { [100, 1_000] } else { [100_000, 1_000_000] };
    for keys in counts {
        let mut kept = None;
        let all = measure(|| kept = Some(filled(keys))).bytes_current;
        drop(kept);
        let mut breakers = None;
        let make = || breakers = Some((0..keys).map(|_| breaker()).collect::<Box<[_]>>());
        let alone = measure(make).bytes_current;
        drop(breakers);
        let each = |bytes: i64| bytes / i64::try_from(keys).expect("not that many");
        println!(
            "{keys} keys: {} bytes each, {} of them the breaker's: {} for the key",
            each(all),
            each(alone),
            each(all - alone)
        );
    }
}
