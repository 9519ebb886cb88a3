//! Who drives the readiness of the inner service on while everybody is refused.
//!
//! A call that is refused at once cannot: it is over. One call that was kept waiting for all the
//! others could, but then it is not refused at once, and its caller may leave at any time. So it is
//! a task, one for each layer value at most, that lives as long as the inner service stays pending,
//! and ends with the layer.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use tokio::task::AbortHandle;
use tower_service::Service;

use crate::load_shed::state::State;
use crate::sync::{Mutex, lock};

/// Whether readiness is driven on. Implemented by [`Undriven`] and [`Driven`].
pub trait Drive<S, Req> {
    #[doc(hidden)]
    fn drive(inner: S, duty: Duty);
}

/// Nothing is: there is no [`fail_fast`](super::Builder::fail_fast).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undriven;

/// By a task, which asks for an inner service that is `Send + 'static`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Driven;

impl<S, Req> Drive<S, Req> for Undriven {
    fn drive(_: S, _: Duty) {}
}

impl<S, Req> Drive<S, Req> for Driven
where
    S: Service<Req> + Send + 'static,
{
    fn drive(mut inner: S, duty: Duty) {
        // Outside a runtime, as in its shutdown, the next call to come finds out by itself.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let Some(state) = duty.state.upgrade() else { return };
        let task = runtime.spawn(async move {
            // An error is for the next caller to see, who asks an instance of its own.
            let _ = poll_fn(|cx| inner.poll_ready(cx)).await;
            // First what it was given, so that the next caller finds it.
            drop(inner);
            duty.done();
        });
        state.driver().replace(task.abort_handle());
    }
}

/// To see to it that readiness is driven on. Dropped, it is somebody else's.
#[derive(Debug)]
pub struct Duty {
    state: Weak<State>,
    ready: bool,
}

impl Duty {
    pub(super) fn new(state: &Arc<State>) -> Self {
        Self { state: Arc::downgrade(state), ready: false }
    }

    /// The inner service is not pending any more.
    fn done(mut self) {
        self.ready = true;
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        if let Some(state) = self.state.upgrade() {
            state.duty_ended(self.ready);
        }
    }
}

/// The task that drives readiness, if there is one. Dropped, it ends the task.
#[derive(Default)]
pub(super) struct Driver(Mutex<Option<AbortHandle>>);

impl Driver {
    fn replace(&self, task: AbortHandle) {
        *lock(&self.0) = Some(task);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.0).take() {
            task.abort();
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver")
    }
}

/// How a [`Queue`](super::Queue) names its driver without having one.
pub(super) type Named<D> = PhantomData<fn() -> D>;
