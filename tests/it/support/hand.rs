//! [`Hand`]: polls by hand, and counts what is woken.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tower::Service;

/// A task that does nothing but count its wakings.
#[derive(Debug)]
pub(crate) struct Hand {
    count: Arc<Count>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Hand {
    pub(crate) fn new() -> Self {
        let count = Arc::<Count>::default();
        Self { waker: count.clone().into(), count }
    }

    /// Wakings since the last look.
    pub(crate) fn woken(&self) -> usize {
        self.count.0.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(&self.waker))
    }

    pub(crate) fn poll_ready<S, Req>(&self, service: &mut S) -> Poll<Result<(), S::Error>>
    where
        S: Service<Req>,
    {
        service.poll_ready(&mut Context::from_waker(&self.waker))
    }
}

/// One poll by a task that nobody wakes.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The service, which has to be ready at once.
#[track_caller]
pub(crate) fn ready<S, Req>(service: &mut S) -> &mut S
where
    S: Service<Req>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))), "not ready at once");
    service
}

/// Runs what has to panic.
#[track_caller]
pub(crate) fn panics<T>(work: impl FnOnce() -> T) -> String {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(_) => panic!("this was to panic"),
        Err(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => (*payload.downcast::<&str>().unwrap()).to_owned(),
        },
    }
}

/// A call to a service that is ready at once. Boxed, so that it can be polled by hand.
#[track_caller]
pub(crate) fn call<S, Req>(service: &mut S, request: Req) -> Pin<Box<S::Future>>
where
    S: Service<Req>,
{
    Box::pin(ready(service).call(request))
}
