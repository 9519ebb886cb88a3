//! [`Detach`]: calls that are not cut when nobody waits for them any more.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Notify;

/// A call whose time is over, or whose caller has gone, runs on in a task: up to so many at once,
/// and any beyond that are dropped.
#[derive(Clone, Debug)]
pub struct Detach {
    tracker: Arc<Tracker>,
}

impl Detach {
    pub(super) fn new(limit: usize) -> Self {
        let tracker = Tracker {
            limit,
            running: AtomicUsize::new(0),
            panicked: AtomicUsize::new(0),
            ended: Notify::new(),
        };
        Self { tracker: Arc::new(tracker) }
    }

    pub(super) fn handle(&self) -> Handle {
        Handle { tracker: self.tracker.clone() }
    }

    /// Boxed, since a future that has been polled can only be handed to a task in its box. That
    /// is the price of this mode: one allocation for each call.
    pub(super) fn track<F>(&self, inner: F) -> Tracked<F>
    where
        F: Future + Send + 'static,
    {
        Tracked { inner: Some(Box::pin(inner)), tracker: self.tracker.clone(), hand_over }
    }
}

#[derive(Debug)]
struct Tracker {
    limit: usize,
    running: AtomicUsize,
    panicked: AtomicUsize,
    ended: Notify,
}

/// Reads and waits for the detached calls of a timeout layer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    tracker: Arc<Tracker>,
}

/// What [`Handle::drain`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Detached calls that were still running when the wait was over.
    pub running: usize,
    /// Detached calls that panicked since the layer was built.
    pub panicked: usize,
}

impl Handle {
    /// Detached calls that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tracker.running.load(Ordering::Acquire)
    }

    /// Detached calls that panicked since the layer was built. The panic itself has gone to the
    /// panic hook, as that of any task does.
    #[must_use]
    pub fn panicked(&self) -> usize {
        self.tracker.panicked.load(Ordering::Acquire)
    }

    /// Waits until no detached call runs, but no longer than `at_most`. For a graceful shutdown,
    /// after the server has stopped taking requests. Cancel safe. Needs a runtime with a time
    /// driver, as a timer does.
    pub async fn drain(&self, at_most: Duration) -> Drained {
        let idle = async {
            loop {
                let ended = self.tracker.ended.notified();
                if self.running() == 0 {
                    return;
                }
                ended.await;
            }
        };
        // Either way the counts say what is left.
        let _ = tokio::time::timeout(at_most, idle).await;
        Drained { running: self.running(), panicked: self.panicked() }
    }
}

/// An inner future that is handed to a task when it is dropped before its end.
pub struct Tracked<F> {
    inner: Option<Pin<Box<F>>>,
    tracker: Arc<Tracker>,
    /// [`hand_over`], chosen where `F` is known to be fit for a task: a `Drop` cannot ask for it.
    hand_over: fn(Pin<Box<F>>, Arc<Tracker>),
}

impl<F: Future> Future for Tracked<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Out of its place while it is polled: one that panics is not handed over, but unwinds.
        let mut inner = self.inner.take().expect("a future is not polled after it was ready");
        let poll = inner.as_mut().poll(cx);
        if poll.is_pending() {
            self.inner = Some(inner);
        }
        poll
    }
}

impl<F> Drop for Tracked<F> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            (self.hand_over)(inner, self.tracker.clone());
        }
    }
}

impl<F> fmt::Debug for Tracked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timeout::Tracked")
    }
}

fn hand_over<F>(inner: Pin<Box<F>>, tracker: Arc<Tracker>)
where
    F: Future + Send + 'static,
{
    // Outside a runtime, as in its shutdown, there is nobody to drive it.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let Some(running) = Running::start(tracker) else { return };
    runtime.spawn(async move {
        let _running = running;
        // The answer has nobody to go to.
        drop(inner.await);
    });
}

/// One detached call among those that run.
struct Running(Arc<Tracker>);

impl Running {
    fn start(tracker: Arc<Tracker>) -> Option<Self> {
        let limit = tracker.limit;
        let below = |running: usize| (running < limit).then_some(running + 1);
        let started = tracker.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, below);
        started.is_ok().then(|| Self(tracker))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked.fetch_add(1, Ordering::AcqRel);
        }
        self.0.running.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_waiters();
    }
}
