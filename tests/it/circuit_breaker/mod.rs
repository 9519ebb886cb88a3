//! The circuit breaker, sentence by sentence.

mod gate;
mod half_open;
mod handle;
mod opening;
mod readiness;
mod trips;

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::circuit_breaker::{CircuitBreakerLayer, Handle, Phase, Window};
use buttress::classify::classify_fn;
use buttress::observe::{Event, EventKind};
use buttress::{Class, Error, Reason, Rejected};
use tokio::time::{advance, sleep};
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceExt, service_fn};

/// What the dependency does with a call, chosen by the request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Do {
    Succeed,
    /// A permanent failure: the caller's fault.
    BeWrong,
    Fail,
    /// Asks for less load, perhaps for some time.
    Shed(Option<Duration>),
    /// Ends in a way that says nothing.
    Nothing,
    Take(Duration),
    TakeThenFail(Duration),
    Hang,
    Panic,
}

pub(super) type Answer = Result<Class, Error<Infallible>>;

/// Answers are classes, and the classifier believes them.
fn believe(outcome: Result<&Class, &Error<Infallible>>) -> Class {
    match outcome {
        Ok(class) => *class,
        Err(_) => Class::Ignore,
    }
}

async fn dependency(what: Do) -> Answer {
    match what {
        Do::Succeed => Ok(Class::Success),
        Do::BeWrong => Ok(Class::Permanent),
        Do::Fail => Ok(Class::Transient),
        Do::Shed(retry_after) => Ok(Class::Overload { retry_after }),
        Do::Nothing => Ok(Class::Ignore),
        Do::Take(time) => {
            sleep(time).await;
            Ok(Class::Success)
        }
        Do::TakeThenFail(time) => {
            sleep(time).await;
            Ok(Class::Transient)
        }
        Do::Hang => pending().await,
        Do::Panic => panic!("the dependency panics"),
    }
}

pub(super) type Builder = buttress::circuit_breaker::Builder;

/// A circuit breaker over the dependency, and everything that it tells.
pub(super) struct Circuit {
    service: BoxCloneService<Do, Class, Error<Infallible>>,
    pub(super) handle: Handle,
    events: Arc<Mutex<Vec<EventKind>>>,
}

impl Circuit {
    pub(super) fn new(builder: Builder) -> Self {
        let events = Arc::<Mutex<Vec<EventKind>>>::default();
        let log = events.clone();
        let layer: CircuitBreakerLayer<_> = builder
            .classify(classify_fn(believe))
            .observe(move |event: &Event<'_>| log.lock().unwrap().push(event.kind))
            .seed(42)
            .build();
        let handle = layer.handle();
        Self { service: BoxCloneService::new(layer.layer(service_fn(dependency))), handle, events }
    }

    /// Warm: ten windows of healthy traffic have passed.
    pub(super) async fn warm(builder: Builder, window: Window) -> Self {
        let circuit = Self::new(builder);
        match window {
            Window::Count(size) => circuit.calls(size * 10, Do::Succeed).await,
            Window::Time(span) => {
                for _ in 0..100 {
                    circuit.calls(10, Do::Succeed).await;
                    advance(span / 10).await;
                }
            }
            _ => unreachable!("there are two kinds of windows"),
        }
        circuit.events.lock().unwrap().clear();
        circuit
    }

    pub(super) async fn call(&self, what: Do) -> Answer {
        self.service.clone().oneshot(what).await
    }

    pub(super) async fn calls(&self, count: u32, what: Do) {
        for _ in 0..count {
            let _ = self.call(what).await;
        }
    }

    /// The refusal that a call gets now.
    #[track_caller]
    pub(super) fn refusal(&self) -> Rejected {
        let answer = at_once(self.call(Do::Succeed));
        match answer {
            Err(Error::Rejected(rejected)) => {
                assert_eq!(rejected.reason(), Reason::CircuitOpen);
                rejected
            }
            Ok(_) => panic!("the call was admitted, {:?}", self.handle.phase()),
        }
    }

    /// Starts a call and lets it run until it waits.
    pub(super) fn start(&self, what: Do) -> Running {
        let mut running = Running(Box::pin(self.service.clone().oneshot(what)));
        assert!(running.is_running());
        running
    }

    /// As a future of its own, for a task.
    pub(super) fn start_later(&self, what: Do) -> impl Future<Output = Answer> + use<> {
        self.service.clone().oneshot(what)
    }

    pub(super) fn phase(&self) -> Phase {
        self.handle.phase()
    }

    pub(super) fn events(&self) -> Vec<EventKind> {
        self.events.lock().unwrap().clone()
    }

    pub(super) fn late_results(&self) -> usize {
        self.events().iter().filter(|kind| matches!(kind, EventKind::LateResult)).count()
    }

    /// Opens the circuit from outside of what a test is about.
    pub(super) async fn trip(&self) {
        self.calls(1000, Do::Fail).await;
        assert_eq!(self.phase(), Phase::Open);
    }

    /// Lets the open time pass, whatever was drawn for it.
    pub(super) async fn pass_open_time(&self) {
        let left = self.handle.snapshot().until.expect("open");
        advance(left).await;
    }
}

/// A call that is out.
pub(super) struct Running(futures::future::BoxFuture<'static, Answer>);

impl Running {
    pub(super) fn is_running(&mut self) -> bool {
        futures::FutureExt::now_or_never(&mut self.0).is_none()
    }

    pub(super) async fn end(self) -> Answer {
        self.0.await
    }
}

pub(super) fn builder() -> Builder {
    CircuitBreakerLayer::builder().name("payments")
}

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// For the tests that need the type of the service itself.
pub(super) fn ready_now<S, Req>(service: &mut S) -> bool
where
    S: Service<Req>,
{
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    service.poll_ready(&mut cx).is_ready()
}

/// What a future answers that has nothing to wait for.
#[track_caller]
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    futures::FutureExt::now_or_never(future).expect("an answer at once")
}
