//! A rate for each key, and what it remembers.

use std::fmt;
use std::future::{Ready, ready};
use std::time::Duration;

use allocation_counter::measure;
use buttress::keyed::Pinned;
use buttress::observe::Event;
use buttress::rate_limit::{Overflow, RateLimitLayer};
use buttress::{BoxError, Reason, Rejectable};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, service_fn};

use super::{HOUR, MS, SECOND, passing};
use crate::support::{Ask, Fault, Mock, call, poll_once, refusal};

/// The answer asked for is the key.
fn key(ask: &Ask) -> u32 {
    match ask {
        Ask::Answer(key) | Ask::Fail(key) => *key,
        _ => 0,
    }
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_rate_of_its_own() {
    let layer = RateLimitLayer::builder().per_second(10).burst(2).key(key).build();
    let mut service = layer.layer(Mock::new());
    assert_eq!(passing(&mut service).await, (2, Some(100 * MS)), "key 1");
    assert_eq!(call(&mut service, Ask::Answer(2)).await, Ok(2));
    let handle = layer.handle();
    assert_eq!([1, 2, 3].map(|key| handle.available(&key)), [0, 1, 2]);
    assert_eq!([1, 2, 3].map(|key| handle.wait(&key)), [100 * MS, Duration::ZERO, Duration::ZERO]);
    assert_eq!(handle.keys(), 2, "who only asks is not remembered");
}

#[tokio::test(start_paused = true)]
async fn waiting_calls_of_different_keys_do_not_wait_for_each_other() {
    let layer = RateLimitLayer::builder().per_second(10).burst(1).key(key).max_wait(SECOND).build();
    let mut service = layer.layer(Mock::new());
    let start = Instant::now();
    let calls = [1, 2, 1, 2].map(|key| call(&mut service, Ask::Answer(key)));
    for waiting in calls {
        waiting.await.unwrap();
    }
    assert_eq!(start.elapsed(), 100 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_gives_its_turn_back_to_its_key() {
    let layer = RateLimitLayer::builder().per_second(10).burst(1).key(key).max_wait(SECOND).build();
    let mut service = layer.layer(Mock::new());
    call(&mut service, Ask::Answer(1)).await.unwrap();
    call(&mut service, Ask::Answer(2)).await.unwrap();
    let waiting = call(&mut service, Ask::Answer(1));
    assert_eq!([1, 2].map(|key| layer.handle().wait(&key)), [200 * MS, 100 * MS]);
    drop(waiting);
    assert_eq!([1, 2].map(|key| layer.handle().wait(&key)), [100 * MS; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_without_a_place_gives_its_turn_back_to_all_that_have_none() {
    let builder = RateLimitLayer::builder().per_second(10).burst(1).max_wait(SECOND);
    let layer = builder.key(key).capacity(1).build();
    let (mut service, handle) = (layer.layer(Mock::new()), layer.handle());
    for key in [1, 2] {
        call(&mut service, Ask::Answer(key)).await.unwrap();
    }
    let waiting = call(&mut service, Ask::Answer(3));
    assert_eq!([1, 2, 3].map(|key| handle.wait(&key)), [100 * MS, 200 * MS, 200 * MS]);
    drop(waiting);
    assert_eq!([1, 2, 3].map(|key| handle.wait(&key)), [100 * MS; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_idle_is_forgotten() {
    let layer = RateLimitLayer::builder().per_second(10).burst(5).key(key).build();
    let (mut service, handle) = (layer.layer(Mock::new()), layer.handle());
    for key in 0..100 {
        call(&mut service, Ask::Answer(key)).await.unwrap();
    }
    for _ in 0..4 {
        call(&mut service, Ask::Answer(7)).await.unwrap();
    }
    assert_eq!(handle.keys(), 100);
    advance(100 * MS).await;
    assert_eq!(handle.keys(), 1, "whoever has calls to make up for is not");
    assert_eq!(handle.available(&7), 1);
    advance(400 * MS).await;
    assert_eq!(handle.keys(), 0);
    assert_eq!(handle.available(&7), 5);
}

#[tokio::test(start_paused = true)]
async fn a_million_keys_one_after_the_other_leave_a_few_behind() {
    let layer = RateLimitLayer::builder().per_second(1_000).key(key).build();
    let mut service = layer.layer(Mock::new());
    for key in 0..1_000_000 {
        assert_eq!(poll_once(&mut call(&mut service, Ask::Answer(key))), Ok(key).into());
        if key % 100 == 0 {
            advance(MS).await;
        }
    }
    let kept = format!("{:?}", layer.handle());
    let kept: u32 = kept.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
    assert!(kept <= 16 * 64, "without anybody asking for a clean-up: {kept}");
}

#[tokio::test(start_paused = true)]
async fn beyond_the_capacity_new_keys_share_one_rate() {
    let layer = RateLimitLayer::builder().per_second(10).burst(2).key(key).capacity(3).build();
    let mut service = layer.layer(Mock::new());
    for key in [1, 2, 3] {
        call(&mut service, Ask::Answer(key)).await.unwrap();
    }
    call(&mut service, Ask::Answer(4)).await.unwrap();
    call(&mut service, Ask::Answer(5)).await.unwrap();
    let refused = refusal(call(&mut service, Ask::Answer(6)).await);
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::RateLimited, Some(100 * MS)));
    let handle = layer.handle();
    assert_eq!([1, 2, 3, 4, 6].map(|key| handle.available(&key)), [1, 1, 1, 0, 0]);
    assert_eq!(handle.keys(), 3);
    advance(100 * MS).await;
    for key in [4, 5, 6] {
        call(&mut service, Ask::Answer(key)).await.unwrap();
        assert_eq!(handle.available(&key), 1, "the others have been forgotten");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_is_pinned_while_the_bucket_of_any_key_is_not_full() {
    let layer = RateLimitLayer::builder().per_second(10).burst(2).key(key).capacity(1).build();
    let (mut service, handle) = (layer.layer(Mock::new()), layer.handle());
    assert!(!handle.is_pinned());
    call(&mut service, Ask::Answer(1)).await.unwrap();
    assert!(handle.is_pinned());
    for _ in 0..2 {
        call(&mut service, Ask::Answer(2)).await.unwrap();
    }
    advance(100 * MS).await;
    assert!(handle.is_pinned(), "by what keys without a place share");
    advance(100 * MS).await;
    assert!(!handle.is_pinned());
}

#[tokio::test(start_paused = true)]
async fn beyond_the_capacity_new_keys_are_refused_if_so_wanted() {
    let layer = RateLimitLayer::builder()
        .per_second(10)
        .burst(2)
        .key(key)
        .capacity(3)
        .overflow(Overflow::Refuse)
        .build();
    let mut service = layer.layer(Mock::new());
    for key in [1, 2, 3, 3] {
        call(&mut service, Ask::Answer(key)).await.unwrap();
    }
    let refused = refusal(call(&mut service, Ask::Answer(4)).await);
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::RateLimited, Some(100 * MS)));
    assert_eq!((layer.handle().available(&4), layer.handle().keys()), (0, 3));
    advance(100 * MS).await;
    call(&mut service, Ask::Answer(4)).await.unwrap();
    assert_eq!(layer.handle().available(&3), 1, "who has calls to make up for keeps its place");
}

struct Named {
    tenant: String,
}

#[allow(clippy::needless_pass_by_value, reason = "a service takes its request")]
fn inner(request: Named) -> Ready<Result<usize, BoxError>> {
    ready(Ok(request.tenant.len()))
}

#[test]
fn a_borrowed_key_is_copied_only_when_it_is_new() {
    let layer = RateLimitLayer::builder()
        .per(3, HOUR)
        .key_ref(|request: &Named| request.tenant.as_str())
        .build();
    let mut service = layer.layer(service_fn(inner));
    let names = ["a tenant with a name that needs room", "another such tenant"];
    let mut allocations = |name: &str| {
        let request = Named { tenant: name.to_owned() };
        let mut passed = false;
        let counted = measure(|| {
            let mut future = crate::support::ready(&mut service).call(request);
            passed = match poll_once(&mut future) {
                std::task::Poll::Ready(Ok(_)) => true,
                std::task::Poll::Ready(Err(error)) => error.rejected().is_none(),
                std::task::Poll::Pending => panic!("the inner service is ready at once"),
            };
        });
        (passed, counted.count_total)
    };
    for name in names {
        assert!(allocations(name).1 > 0, "a test that counts nothing would pass as well");
        assert_eq!([(); 2].map(|()| allocations(name)), [(true, 0); 2]);
        // The refusal is boxed by the error type of this service.
        assert!(!allocations(name).0);
    }
    assert_eq!(layer.handle().available(names[0]), 0);
}

/// Whatever prints one has betrayed it.
#[derive(Clone, Hash, PartialEq, Eq)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a key was printed")
    }
}

#[tokio::test(start_paused = true)]
async fn no_key_is_ever_shown() {
    let key = |ask: &Ask| Secret(format!("hunter{}", key(ask)));
    let layer = RateLimitLayer::builder()
        .per_second(1)
        .key(key)
        .max_wait(MS)
        .observe(|event: &Event<'_>| assert!(!format!("{event:?}").contains("hunter")))
        .build();
    let mut service = layer.layer(Mock::new());
    let future = call(&mut service, Ask::Answer(2));
    let shown = format!("{layer:?}{service:?}{:?}{future:?}", layer.handle());
    future.await.unwrap();
    let Err(error) = call(&mut service, Ask::Answer(2)).await else { panic!("one a second") };
    assert!(matches!(error, Fault::Rejected(_)));
    assert!(!format!("{shown}{error:?}{error}").contains("hunter"));
}
