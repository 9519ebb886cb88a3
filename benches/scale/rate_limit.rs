//! The rate limit: by keys, and by calls per window.

use std::cell::Cell;
use std::future::{Ready, ready};
use std::hash::Hash;

use allocation_counter::measure;
use buttress::BoxError;
use buttress::rate_limit::{PerKey, RateLimit, RateLimitLayer, Refuse};
use criterion::{BenchmarkId, Criterion};
use tower::{Layer, service_fn};

use crate::call;

/// Marks the first request of a key, which costs an hour.
const FIRST: u64 = 1 << 63;

fn inner(request: u64) -> Ready<Result<u64, BoxError>> {
    ready(Ok(request))
}

type Inner = tower::util::ServiceFn<fn(u64) -> Ready<Result<u64, BoxError>>>;
type Keyed<F, K> = RateLimit<Inner, PerKey<F, K>, Refuse, fn(&u64) -> u32>;

/// A service that has seen so many keys, none of which can be forgotten within an hour.
fn warm<F, K>(keys: u64, find: F) -> Keyed<F, K>
where
    F: Fn(&u64) -> K,
    K: Hash + Eq,
{
    let cost: fn(&u64) -> u32 = |request| if request & FIRST == 0 { 1 } else { 3_600_000_000 };
    let layer = RateLimitLayer::builder()
        .per_second(1_000_000)
        .burst(u32::MAX)
        .capacity(1 << 21)
        .key(find)
        .cost(cost)
        .build();
    let mut service = layer.layer(service_fn(inner as fn(u64) -> _));
    for key in 0..keys {
        call(&mut service, key | FIRST);
    }
    assert_eq!(layer.handle().keys() as u64, keys);
    service
}

/// A known key, after so many others. That of a million is the cache's share: they fit in none.
pub(crate) fn keys(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate limit, keys");
    for keys in [1, 1_000, 1_000_000] {
        let mut service = warm(keys, |request: &u64| request & !FIRST);
        let next = Cell::new(0);
        group.bench_function(BenchmarkId::from_parameter(keys), |b| {
            b.iter(|| {
                // Far from the one before, as the keys of callers are.
                next.set((next.get() + 7_919) % keys);
                call(&mut service, next.get())
            });
        });
    }
    group.finish();
}

/// One rate for all, after so many calls in the same second.
pub(crate) fn calls_per_window(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate limit, calls per window");
    for calls in [1_000, 10_000, 100_000, 1_000_000, 10_000_000] {
        let layer = RateLimitLayer::builder().per_second(calls).burst(u32::MAX).build();
        let mut service = layer.layer(service_fn(inner));
        for request in 0..u64::from(calls) {
            call(&mut service, request);
        }
        group.bench_function(BenchmarkId::from_parameter(calls), |b| {
            b.iter(|| call(&mut service, 7));
        });
    }
    group.finish();
}

/// No time but room, so that it is printed instead.
pub(crate) fn bytes_per_key(_: &mut Criterion) {
    for keys in [1_000, 100_000, 1_000_000u64] {
        print_bytes("u64", keys, |request: &u64| request & !FIRST);
        print_bytes("String of 16", keys, |request: &u64| format!("{:016}", request & !FIRST));
    }
}

fn print_bytes<K: Hash + Eq>(what: &str, keys: u64, find: impl Fn(&u64) -> K) {
    let mut service = None;
    let counted = measure(|| service = Some(warm(keys, find)));
    let of_each = |bytes: u64| (bytes + keys / 2) / keys;
    let each = of_each(counted.bytes_current.unsigned_abs());
    let most = of_each(counted.bytes_max);
    println!("rate limit, {keys} keys, {what}: {each} bytes per key, {most} while it grows");
}
