//! Gate mode, for balancers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buttress::BoxError;
use buttress::circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, Handle, Phase};
use buttress::classify::DefaultClassifier;
use futures::FutureExt;
use tokio::time::{Instant, advance};
use tower::util::ServiceFn;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{SECOND, ms, ready_now};

type Outcome = Result<(), BoxError>;
type Inner = ServiceFn<fn(bool) -> std::future::Ready<Outcome>>;
type Gated = CircuitBreaker<Inner, DefaultClassifier>;

fn answer(succeed: bool) -> std::future::Ready<Outcome> {
    std::future::ready(if succeed { Ok(()) } else { Err("down".into()) })
}

fn gate(probes: u32) -> (Gated, Handle) {
    let layer = CircuitBreakerLayer::builder()
        .consecutive_failures(1)
        .probes(probes)
        .close_after(1)
        .seed(1)
        .gate()
        .build();
    let inner: Inner = service_fn(answer as fn(bool) -> _);
    (layer.layer(inner), layer.handle())
}

async fn trip(service: &mut Gated, handle: &Handle) {
    service.ready().await.unwrap().call(false).await.unwrap_err();
    assert_eq!(handle.phase(), Phase::Open);
}

#[tokio::test(start_paused = true)]
async fn poll_ready_is_pending_while_open_and_wakes_on_time() {
    let (mut service, handle) = gate(1);
    trip(&mut service, &handle).await;
    let until = Instant::now() + handle.snapshot().until.unwrap();
    assert!(!ready_now::<_, bool>(&mut service));
    service.ready().await.unwrap();
    assert!(Instant::now() >= until && Instant::now() <= until + ms(1), "by a real timer");
    service.call(true).await.unwrap();
    assert_eq!(handle.phase(), Phase::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_reset_wakes_those_who_wait() {
    let (mut service, handle) = gate(1);
    service.ready().await.unwrap();
    handle.force_open("drill");
    let mut waiting = service.clone();
    let task = tokio::spawn(async move { waiting.ready().await.map(|_| ()) });
    tokio::task::yield_now().await;
    assert!(!task.is_finished());
    handle.reset();
    task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn half_open_readiness_is_a_reservation_given_back_on_drop() {
    let (mut service, handle) = gate(1);
    trip(&mut service, &handle).await;
    advance(handle.snapshot().until.unwrap()).await;
    let mut first = service.clone();
    assert!(ready_now::<_, bool>(&mut first));
    assert!(ready_now::<_, bool>(&mut first), "and it is kept, not taken twice");
    let mut second = service.clone();
    assert!(!ready_now::<_, bool>(&mut second), "there is one slot");
    let mut woken = second.ready().boxed();
    assert!((&mut woken).now_or_never().is_none());
    drop(first);
    woken.now_or_never().expect("woken by the drop").unwrap().call(true).await.unwrap();
    assert_eq!(handle.phase(), Phase::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_that_is_never_used_is_reclaimed_like_a_hung_probe() {
    let (mut service, handle) = gate(1);
    trip(&mut service, &handle).await;
    advance(handle.snapshot().until.unwrap()).await;
    let mut idle = service.clone();
    assert!(ready_now::<_, bool>(&mut idle));
    service.ready().await.unwrap().call(true).await.unwrap();
    assert_eq!(handle.phase(), Phase::Closed, "the other one went on without it");
    assert!(ready_now::<_, bool>(&mut idle));
    idle.call(true).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reservation_is_no_call_and_tells_nothing() {
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let layer = CircuitBreakerLayer::builder()
        .consecutive_failures(1)
        .gate()
        .observe(move |event: &buttress::observe::Event<'_>| {
            use buttress::observe::EventKind::{Abandoned, Admitted};
            if matches!(event.kind, Abandoned | Admitted { .. }) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        })
        .build();
    let inner: Inner = service_fn(answer as fn(bool) -> _);
    let mut service = layer.layer(inner);
    trip(&mut service, &layer.handle()).await;
    advance(5 * SECOND).await;
    let before = told.load(Ordering::SeqCst);
    let mut reserved = service.clone();
    assert!(ready_now::<_, bool>(&mut reserved));
    drop(reserved);
    assert_eq!(told.load(Ordering::SeqCst), before);
}

#[tokio::test(start_paused = true)]
async fn a_balancer_goes_round_an_open_circuit() {
    let (mut bad, handle) = gate(1);
    trip(&mut bad, &handle).await;
    let (good, _) = gate(1);
    let mut cache = tower::ready_cache::ReadyCache::<&str, Gated, bool>::default();
    cache.push("bad", bad);
    cache.push("good", good);
    std::future::poll_fn(|cx| {
        let _ = cache.poll_pending(cx);
        std::task::Poll::Ready(())
    })
    .await;
    assert_eq!((cache.ready_len(), cache.pending_len()), (1, 1));
    assert_eq!(cache.get_ready_index(0).map(|(key, _)| *key), Some("good"));
    advance(handle.snapshot().until.unwrap()).await;
    tokio::time::sleep(ms(1)).await;
    std::future::poll_fn(|cx| cache.poll_pending(cx)).await.unwrap();
    assert_eq!(cache.ready_len(), 2);
}
