//! What `poll_ready` promises.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use buttress::circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, Handle, Phase};
use buttress::{Error, Rejectable};
use futures::task::AtomicWaker;
use tower::{Layer, Service};

use super::{at_once, ms, ready_now};

/// A service that is ready when it is told so, and counts.
#[derive(Clone, Default)]
struct Gated {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    ready: AtomicBool,
    polls: AtomicUsize,
    calls: AtomicUsize,
    waker: AtomicWaker,
}

impl Service<bool> for Gated {
    type Response = ();
    type Error = Error<&'static str>;
    type Future = Ready<Result<(), Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.state.polls.fetch_add(1, Ordering::SeqCst);
        self.state.waker.register(cx.waker());
        if self.state.ready.load(Ordering::SeqCst) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, succeed: bool) -> Self::Future {
        self.state.calls.fetch_add(1, Ordering::SeqCst);
        ready(if succeed { Ok(()) } else { Err(Error::Service("down")) })
    }
}

struct Rig {
    service: CircuitBreaker<Gated>,
    inner: Arc<State>,
    handle: Handle,
}

fn rig() -> Rig {
    let layer = CircuitBreakerLayer::builder().consecutive_failures(1).seed(1).build();
    let inner = Gated::default();
    inner.state.ready.store(true, Ordering::SeqCst);
    Rig { inner: inner.state.clone(), handle: layer.handle(), service: layer.layer(inner) }
}

impl Rig {
    fn set_ready(&self, is: bool) {
        self.inner.ready.store(is, Ordering::SeqCst);
    }

    fn trip(&mut self) {
        assert!(ready_now::<_, bool>(&mut self.service));
        let _ = at_once(self.service.call(false));
        assert_eq!(self.handle.phase(), Phase::Open);
    }

    fn refused(&mut self) -> Option<std::time::Duration> {
        let error = at_once(self.service.call(true)).unwrap_err();
        error.rejected().expect("a refusal").retry_after()
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_answers_even_if_the_inner_service_is_stuck() {
    let mut rig = rig();
    rig.trip();
    rig.set_ready(false);
    let polls = rig.inner.polls.load(Ordering::SeqCst);
    assert!(ready_now::<_, bool>(&mut rig.service));
    assert!(rig.refused().is_some());
    assert_eq!(rig.inner.polls.load(Ordering::SeqCst), polls, "the inner service was not asked");
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_opens_over_a_stuck_inner_service_wakes_those_who_wait_for_it() {
    let mut waiting = rig();
    let layer = CircuitBreakerLayer::builder().consecutive_failures(1).build();
    waiting.service = layer.layer(Gated { state: waiting.inner.clone() });
    let mut failing = layer.layer(Gated { state: waiting.inner.clone() });
    assert!(ready_now::<_, bool>(&mut failing));
    waiting.set_ready(false);

    let woken = Arc::new(CountWakes::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(Service::<bool>::poll_ready(&mut waiting.service, &mut cx).is_pending());
    let _ = at_once(failing.call(false));
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(Service::<bool>::poll_ready(&mut waiting.service, &mut cx).is_ready());
    assert!(waiting.refused().is_some());
}

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl std::task::Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_taken_in_poll_ready_stands_until_call_with_its_time_taken_anew() {
    let mut rig = rig();
    rig.trip();
    let left = rig.handle.snapshot().until.unwrap();
    assert!(ready_now::<_, bool>(&mut rig.service));
    tokio::time::advance(ms(500)).await;
    assert!(ready_now::<_, bool>(&mut rig.service), "however often it is asked");
    assert_eq!(rig.refused(), Some(left - ms(500)));
}

#[tokio::test(start_paused = true)]
async fn a_standing_refusal_says_0_if_the_circuit_has_closed_meanwhile() {
    let mut rig = rig();
    rig.trip();
    assert!(ready_now::<_, bool>(&mut rig.service));
    rig.handle.reset();
    let calls = rig.inner.calls.load(Ordering::SeqCst);
    assert_eq!(rig.refused(), Some(ms(0)), "the inner service was not made ready");
    assert_eq!(rig.inner.calls.load(Ordering::SeqCst), calls);
    assert!(ready_now::<_, bool>(&mut rig.service));
    at_once(rig.service.call(true)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_standing_refusal_belongs_to_the_instance_not_to_its_clones() {
    let mut rig = rig();
    rig.trip();
    assert!(ready_now::<_, bool>(&mut rig.service));
    rig.handle.reset();
    let mut clone = rig.service.clone();
    assert!(ready_now::<_, bool>(&mut clone));
    at_once(clone.call(true)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_instance_refused_after_it_was_ready_keeps_the_inner_grant_for_its_next_call() {
    let mut rig = rig();
    assert!(ready_now::<_, bool>(&mut rig.service));
    rig.handle.force_open("drill");
    assert_eq!(rig.refused(), None);
    rig.handle.reset();
    rig.set_ready(true);
    assert!(ready_now::<_, bool>(&mut rig.service));
    at_once(rig.service.call(true)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hung_probe_over_a_stuck_inner_service_does_not_wedge_poll_ready() {
    let mut rig = rig();
    rig.trip();
    tokio::time::advance(rig.handle.snapshot().until.unwrap()).await;
    // The probe's slot is taken by one who never comes back.
    let layer_probe = {
        assert!(ready_now::<_, bool>(&mut rig.service));
        rig.service.call(true)
    };
    for _ in 0..2 {
        let mut clone = rig.service.clone();
        assert!(ready_now::<_, bool>(&mut clone));
        std::mem::forget(clone.call(true));
    }
    std::mem::forget(layer_probe);
    rig.set_ready(false);
    assert!(ready_now::<_, bool>(&mut rig.service), "all slots are out: refused at once");
    assert!(rig.refused().is_some());
    tokio::time::advance(ms(5_000)).await;
    assert!(ready_now::<_, bool>(&mut rig.service));
    assert!(rig.refused().is_some());
    assert_eq!(rig.handle.phase(), Phase::Open, "reclaimed");
}
