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
async fn those_who_wait_learn_of_a_shorter_open_time() {
    let (mut service, handle) = gate(1);
    trip(&mut service, &handle).await;
    let mut soon = handle.snapshot();
    soon.until = Some(ms(9));
    let start = Instant::now();
    let waiting = tokio::spawn(async move { service.ready().await.map(|_| ()) });
    tokio::task::yield_now().await;
    handle.hydrate(&soon);
    waiting.await.unwrap().unwrap();
    assert!(start.elapsed() <= ms(10), "{:?}", start.elapsed());
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

/// Reserves the only slot of a half-open circuit and leaves it idle for longer than a probe may be
/// out.
async fn idle_for_long() -> (Gated, Gated, Handle) {
    let (mut service, handle) = gate(1);
    trip(&mut service, &handle).await;
    advance(handle.snapshot().until.unwrap()).await;
    let mut idle = service.clone();
    assert!(ready_now::<_, bool>(&mut idle));
    advance(6 * SECOND).await;
    (idle, service, handle)
}

#[tokio::test(start_paused = true)]
async fn a_reservation_is_no_probe_that_is_out_so_low_traffic_still_closes() {
    let (mut idle, _, handle) = idle_for_long().await;
    idle.call(true).await.unwrap();
    assert_eq!(handle.phase(), Phase::Closed, "the call had only just begun");
}

#[tokio::test(start_paused = true)]
async fn an_idle_reservation_is_reclaimed_for_another_and_opens_nothing() {
    let (mut idle, mut other, handle) = idle_for_long().await;
    assert!(ready_now::<_, bool>(&mut other));
    assert_eq!(handle.phase(), Phase::HalfOpen);
    assert!(!ready_now::<_, bool>(&mut idle), "its slot is gone");
    let mut probe = other.call(true).boxed();
    // Called without a slot all the same, it is refused: there is still but one.
    let mut late = idle.clone();
    assert!(!ready_now::<_, bool>(&mut late));
    (&mut probe).now_or_never().unwrap().unwrap();
    assert_eq!(handle.phase(), Phase::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_reclaimed_reservation_is_worth_nothing_to_its_call() {
    let (mut idle, mut other, handle) = idle_for_long().await;
    assert!(ready_now::<_, bool>(&mut other));
    idle.call(true).await.unwrap_err();
    assert_eq!(handle.phase(), Phase::HalfOpen);
    other.call(true).await.unwrap();
    assert_eq!(handle.phase(), Phase::Closed);
}

#[test]
fn a_waker_that_holds_a_service_is_dropped_under_no_lock() {
    struct Task {
        _service: std::sync::Mutex<Gated>,
    }
    impl std::task::Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    let (done, end) = std::sync::mpsc::channel();
    // On a thread of its own, since the failure is one that never ends.
    std::thread::spawn(move || {
        let (service, handle) = gate(1);
        handle.force_open("drill");
        let waiting = || {
            let mut service = service.clone();
            assert!(!ready_now::<_, bool>(&mut service));
            service
        };
        let mut polled = service.clone();
        for _ in 0..2 {
            let task = Arc::new(Task { _service: std::sync::Mutex::new(waiting()) });
            let waker = std::task::Waker::from(task);
            let mut cx = std::task::Context::from_waker(&waker);
            assert!(Service::<bool>::poll_ready(&mut polled, &mut cx).is_pending());
        }
        drop(polled);
        done.send(handle.phase()).unwrap();
    });
    let phase = end.recv_timeout(std::time::Duration::from_secs(20));
    assert_eq!(phase, Ok(Phase::ForcedOpen));
}
