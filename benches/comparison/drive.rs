//! How every subject is driven: the same loop around each service, by hand and without a runtime's
//! scheduler in the figures.

#![expect(clippy::inline_always, reason = "the loop is compiled around the service")]

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Builder, Runtime};
use tower::Service;

/// What a call is made of, whoever makes it.
pub(crate) type Request = u32;

/// A service under measurement, in a loop that is compiled around it.
pub(crate) trait Subject {
    /// So many calls.
    fn run(&mut self, calls: u32);
}

/// Makes one call and takes its answer.
pub(crate) trait Call {
    fn call(&mut self);
}

impl<C: Call> Subject for C {
    fn run(&mut self, calls: u32) {
        counted_calls(self, calls);
    }
}

/// A name that the profiler knows, and the one place where this service is called: in two places
/// the compiler would weigh twice whether to inline it, and a program has one.
#[inline(never)]
fn counted_calls<C: Call>(call: &mut C, calls: u32) {
    for _ in 0..calls {
        call.call();
    }
}

/// What is no service, or is more than one.
pub(crate) struct Does<F>(pub(crate) F);

impl<F: FnMut()> Call for Does<F> {
    #[inline(always)]
    fn call(&mut self) {
        (self.0)();
    }
}

/// On cache lines of its own, however small it is: clones in two threads share their layer's state,
/// and nothing else.
#[repr(align(128))]
pub(crate) struct Apart<C>(pub(crate) C);

impl<C: Call> Call for Apart<C> {
    #[inline(always)]
    fn call(&mut self) {
        self.0.call();
    }
}

/// A service whose every call succeeds.
pub(crate) struct Succeeds<S>(pub(crate) S);

/// A service whose every call is refused or fails.
pub(crate) struct Refuses<S>(pub(crate) S);

impl<S> Call for Succeeds<S>
where
    S: Service<Request, Response = u32>,
{
    #[inline(always)]
    fn call(&mut self) {
        works(outcome(&mut self.0));
    }
}

impl<S> Call for Refuses<S>
where
    S: Service<Request, Response = u32>,
{
    #[inline(always)]
    fn call(&mut self) {
        fails(outcome(&mut self.0));
    }
}

/// Takes an answer.
#[inline(always)]
pub(crate) fn works<T, E>(outcome: Result<T, E>) {
    match outcome {
        Ok(answer) => {
            black_box(answer);
        }
        Err(_) => unexpected("an error"),
    }
}

/// Takes an error.
#[inline(always)]
pub(crate) fn fails<T, E>(outcome: Result<T, E>) {
    match outcome {
        Ok(_) => unexpected("an answer"),
        Err(error) => {
            black_box(&error);
        }
    }
}

/// Makes a call of which chance decides whether it is refused.
#[inline(always)]
pub(crate) fn either<S>(service: &mut S)
where
    S: Service<Request, Response = u32>,
{
    black_box(&outcome(service));
}

/// A future that is pending is polled again: it has woken its task, or a timer will.
#[inline(always)]
pub(crate) fn outcome<S>(service: &mut S) -> Result<u32, S::Error>
where
    S: Service<Request, Response = u32>,
{
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Ready(Err(error)) = service.poll_ready(&mut cx) {
        return Err(error);
    }
    let mut future = pin!(service.call(black_box(7)));
    loop {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut cx) {
            return outcome;
        }
    }
}

/// A service whose every call is refused, called within a runtime: who sleeps there is woken.
pub(crate) struct RefusesInRuntime<S> {
    service: S,
    runtime: Runtime,
}

impl<S> RefusesInRuntime<S> {
    pub(crate) fn new(service: S) -> Self {
        let runtime = Builder::new_current_thread().enable_time().build();
        Self { service, runtime: runtime.expect("a runtime with a clock") }
    }
}

impl<S> Subject for RefusesInRuntime<S>
where
    S: Service<Request, Response = u32>,
{
    fn run(&mut self, calls: u32) {
        let service = &mut self.service;
        self.runtime.block_on(async {
            for _ in 0..calls {
                let outcome = match poll_fn(|cx| service.poll_ready(cx)).await {
                    Ok(()) => service.call(black_box(7)).await,
                    Err(error) => Err(error),
                };
                fails(outcome);
            }
        });
    }
}

#[cold]
fn unexpected(what: &str) -> ! {
    panic!("{what}, which is not what this case is about")
}
