//! Clauses about bounds: what a layer asks of the inner service, and what it keeps of it.

use std::cell::Cell;
use std::fmt::Debug;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use buttress::timeout::{Carrier, Extended};
use tower::Service;

use crate::support::{Fault, ready};

pub(crate) fn layer_traits<T: Clone + Send + Sync + Unpin + Debug + 'static>(_: &T) {}

pub(crate) fn service_traits<T: Clone + Send + Sync + Unpin + Debug + 'static>(_: &T) {}

pub(crate) fn future_traits<T: Send + Sync + Debug + 'static>(_: &T) {}

/// Neither `Clone` nor `Send` nor `'static`, and neither are its futures.
pub(crate) struct Bare<'a> {
    calls: &'a Cell<u32>,
    not_send: Rc<()>,
}

impl<'a> Bare<'a> {
    pub(crate) fn new(calls: &'a Cell<u32>) -> Self {
        Self { calls, not_send: Rc::new(()) }
    }
}

/// A request that is neither `Send` nor `Clone`.
pub(crate) struct Slip(Rc<u32>);

impl Extended for Slip {
    fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        None
    }
}

impl Carrier for Slip {
    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn set_header(&mut self, _: &str, _: &str) {}

    fn insert_extension<T: Clone + Send + Sync + 'static>(&mut self, _: T) {}
}

impl<'a> Service<Slip> for Bare<'a> {
    type Response = Rc<u32>;
    type Error = Fault;
    type Future = BareFuture<'a>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Slip) -> BareFuture<'a> {
        self.calls.set(self.calls.get() + 1);
        BareFuture {
            answer: Some(request.0),
            _not_send: self.not_send.clone(),
            borrows: PhantomData,
        }
    }
}

pub(crate) struct BareFuture<'a> {
    answer: Option<Rc<u32>>,
    _not_send: Rc<()>,
    borrows: PhantomData<&'a Cell<u32>>,
}

impl Future for BareFuture<'_> {
    type Output = Result<Rc<u32>, Fault>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let _: PhantomData<_> = self.borrows;
        Poll::Ready(Ok(self.answer.take().expect("polled once")))
    }
}

/// One call, with neither a runtime nor a timer.
pub(crate) fn serves<S>(service: &mut S)
where
    S: Service<Slip, Response = Rc<u32>, Error: Debug>,
{
    let future = pin!(ready(service).call(Slip(Rc::new(7))));
    let Poll::Ready(Ok(answer)) = future.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the inner service answers at once");
    };
    assert_eq!(*answer, 7);
}
