//! Other orders of execution: futures that are pending once before they begin, by seed.
//!
//! A paused runtime runs its tasks first in, first out, so that seeds vary when things happen but
//! hardly in which order those of one moment do.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::rng::Rng;
use crate::sync::{Mutex, lock};

/// Of so many polls, one hesitates.
const ONE_IN: u64 = 4;

/// Whether to hesitate: seeded.
#[derive(Clone)]
pub(super) struct Whim(Arc<Mutex<Rng>>);

impl Whim {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Rng::new(Some(seed)))))
    }

    fn decides(&self) -> bool {
        lock(&self.0).below(ONE_IN) == 0
    }

    /// Lets others run first, or not.
    pub(super) async fn hesitate(&self) {
        if self.decides() {
            tokio::task::yield_now().await;
        }
    }
}

impl fmt::Debug for Whim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Whim")
    }
}

/// Makes calls begin in another order than they came, by seed: see
/// [`World::interleave`](super::World::interleave).
#[derive(Clone, Debug)]
pub struct InterleaveLayer {
    whim: Whim,
}

impl InterleaveLayer {
    pub(super) fn new(whim: Whim) -> Self {
        Self { whim }
    }
}

impl<S> Layer<S> for InterleaveLayer {
    type Service = Interleave<S>;

    fn layer(&self, inner: S) -> Interleave<S> {
        Interleave { inner, whim: self.whim.clone() }
    }
}

/// The service of [`InterleaveLayer`].
#[derive(Clone, Debug)]
pub struct Interleave<S> {
    inner: S,
    whim: Whim,
}

impl<S, Req> Service<Req> for Interleave<S>
where
    S: Service<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Hesitant<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        Hesitant { inner: self.inner.call(request), hesitates: self.whim.decides() }
    }
}

pin_project! {
    /// The response future of [`Interleave`].
    #[derive(Debug)]
    pub struct Hesitant<F> {
        #[pin]
        inner: F,
        hesitates: bool,
    }
}

impl<F: Future> Future for Hesitant<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if std::mem::take(this.hesitates) {
            // `wake_by_ref` puts the task last in line.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.inner.poll(cx)
    }
}
