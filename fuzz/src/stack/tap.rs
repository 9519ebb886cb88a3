//! [`Tap`]: what goes into a layer, and whether what comes out of it is the truth.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use buttress::Rejectable;
use tower::Service;

use super::service::World;
use super::{Call, Failure};

/// Stands above a layer.
#[derive(Clone, Debug)]
pub(super) struct Tap<S> {
    inner: S,
    world: World,
    calls: Arc<AtomicUsize>,
    /// Nothing further in guesses: whoever says that a call was sent knows it.
    exact: bool,
}

impl<S> Tap<S> {
    pub(super) fn new(inner: S, world: &World, calls: &Arc<AtomicUsize>, exact: bool) -> Self {
        Self { inner, world: world.clone(), calls: calls.clone(), exact }
    }
}

impl<S> Service<Call> for Tap<S>
where
    S: Service<Call, Response = (), Error = Failure>,
{
    type Response = ();
    type Error = Failure;
    type Future = Tapped<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> Tapped<S::Future> {
        let number = self.world.number();
        call.body_mut().push(number);
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (world, exact) = (self.world.clone(), self.exact);
        // Boxed, so that this may be moved.
        Tapped { inner: Box::pin(self.inner.call(call)), number, world, exact }
    }
}

/// The response future of a [`Tap`].
#[derive(Debug)]
pub(super) struct Tapped<F> {
    inner: Pin<Box<F>>,
    number: u32,
    world: World,
    exact: bool,
}

impl<F> Future for Tapped<F>
where
    F: Future<Output = Result<(), Failure>>,
{
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(self.inner.as_mut().poll(cx));
        let seen = self.world.has_seen(self.number);
        match outcome.as_ref().err().and_then(Rejectable::rejected) {
            Some(rejected) if self.exact => {
                assert_eq!(rejected.was_dispatched(), seen, "{rejected}: not the truth");
            }
            Some(rejected) => assert!(rejected.was_dispatched() || !seen, "{rejected}: it was"),
            None => {}
        }
        Poll::Ready(outcome)
    }
}
