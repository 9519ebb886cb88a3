//! Of a rate limit: no allocation either.

use std::future::{Ready, ready};
use std::mem::size_of_val;
use std::time::Duration;

use buttress::rate_limit::RateLimitLayer;
use tower::{Layer, Service, service_fn};

use super::{Fault, allocations, assert_none, inner};

const HOUR: Duration = Duration::from_secs(3600);

#[allow(clippy::unnecessary_literal_bound, reason = "a key is borrowed from its request")]
fn name(_: &u32) -> &str {
    "a tenant with a name that needs room"
}

#[test]
fn neither_a_call_that_passes_nor_one_that_is_refused_allocates() {
    let base = || service_fn(inner as fn(u32) -> Ready<Result<u32, Fault>>);
    let fast = || RateLimitLayer::builder().per_second(1_000_000).burst(1_000_000);
    let slow = || RateLimitLayer::builder().per(1, HOUR);
    let watched = fast().observe(|_: &buttress::observe::Event<'_>| {}).build();
    assert_none(vec![
        ("a call", allocations(fast().build().layer(base()), true)),
        ("a call that is told of", allocations(watched.layer(base()), true)),
        ("a call that may wait", allocations(fast().max_wait(HOUR).build().layer(base()), true)),
        ("a known key", allocations(fast().key(|n: &u32| *n).build().layer(base()), true)),
        ("a key that is borrowed", allocations(fast().key_ref(name).build().layer(base()), true)),
        ("a refusal", allocations(slow().build().layer(base()), false)),
        ("too long a wait", allocations(slow().max_wait(HOUR / 2).build().layer(base()), false)),
        ("a key that is refused", allocations(slow().key_ref(name).build().layer(base()), false)),
    ]);
}

#[test]
fn the_future_is_as_small_as_documented() {
    let alone = size_of_val(&ready(Ok::<u32, Fault>(7)));
    let mut service = RateLimitLayer::new(9).layer(service_fn(inner));
    let limit = size_of_val(&service.call(7)) - alone;
    assert!(limit <= 48, "rate limit: {limit}");
}
