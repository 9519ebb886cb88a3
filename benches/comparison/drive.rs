//! How every subject is driven: the same loop around each service, by hand and without a runtime's
//! scheduler in the figures.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

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
        match outcome(&mut self.0) {
            Ok(answer) => {
                black_box(answer);
            }
            Err(_) => unexpected("an error"),
        }
    }
}

impl<S> Call for Refuses<S>
where
    S: Service<Request, Response = u32>,
{
    #[inline(always)]
    fn call(&mut self) {
        match outcome(&mut self.0) {
            Ok(_) => unexpected("an answer"),
            Err(error) => {
                black_box(&error);
            }
        }
    }
}

/// A future that is pending is polled again: it has woken its task, or a timer will.
#[inline(always)]
fn outcome<S>(service: &mut S) -> Result<u32, S::Error>
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

#[cold]
fn unexpected(what: &str) -> ! {
    panic!("{what}, which is not what this case is about")
}
