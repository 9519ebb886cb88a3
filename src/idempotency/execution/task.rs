//! Tasks that their callers may leave, and those who wait for their ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::idempotency::execution::OnCancel;
use crate::idempotency::execution::panics::Panic;
use crate::sync::{AtomicUsize, Ordering};

/// Counts the tasks of one layer.
#[derive(Debug)]
pub(super) struct Tracker {
    limit: usize,
    running: AtomicUsize,
    /// Also those that put something right in the background.
    tasks: AtomicUsize,
    ended: Notify,
}

impl Tracker {
    pub(super) fn new(limit: usize) -> Self {
        let (running, tasks) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { limit, running, tasks, ended: Notify::new() }
    }

    /// Room for one more request, if there is.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Tracked> {
        let below = |running: usize| (running < self.limit).then_some(running + 1);
        self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, below).ok()?;
        let mut tracked = self.background();
        tracked.is_request = true;
        Some(tracked)
    }

    /// A task that serves no caller: there is always room for it.
    pub(super) fn background(self: &Arc<Self>) -> Tracked {
        self.tasks.fetch_add(1, Ordering::AcqRel);
        Tracked { tracker: self.clone(), is_request: false }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    pub(super) fn tasks(&self) -> usize {
        self.tasks.load(Ordering::Acquire)
    }

    pub(super) async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            if self.tasks() == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// One task among those that run.
#[derive(Debug)]
pub(super) struct Tracked {
    tracker: Arc<Tracker>,
    is_request: bool,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if self.is_request {
            self.tracker.running.fetch_sub(1, Ordering::AcqRel);
        }
        self.tracker.tasks.fetch_sub(1, Ordering::AcqRel);
        self.tracker.ended.notify_waiters();
    }
}

/// The task's view of who waits for it.
#[derive(Debug)]
pub(crate) struct Caller<T>(oneshot::Sender<Result<T, Panic>>);

impl<T> Caller<T> {
    /// Whether nobody waits any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.is_closed()
    }

    /// Hands the answer over, and says whether there was somebody to take it.
    pub(super) fn answer(self, answer: Result<T, Panic>) -> bool {
        self.0.send(answer).is_ok()
    }
}

/// A caller and the place where it waits.
pub(super) fn caller<T>() -> (Caller<T>, oneshot::Receiver<Result<T, Panic>>) {
    let (sender, receiver) = oneshot::channel();
    (Caller(sender), receiver)
}

/// The caller's view of its task. Resumes the panic of the handler.
#[derive(Debug)]
pub(crate) struct Running<T> {
    answer: oneshot::Receiver<Result<T, Panic>>,
    task: JoinHandle<()>,
    on_cancel: OnCancel,
}

impl<T> Running<T> {
    pub(super) fn new(
        answer: oneshot::Receiver<Result<T, Panic>>,
        task: JoinHandle<()>,
        on_cancel: OnCancel,
    ) -> Self {
        Self { answer, task, on_cancel }
    }
}

impl<T> Future for Running<T> {
    /// `None` where the task was ended from outside: its runtime shuts down.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.answer).poll(cx).map(|answer| match answer {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(panic)) => panic.resume(),
            Err(_ended) => None,
        })
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        if self.on_cancel == OnCancel::Release {
            // Of no effect on one that has ended.
            self.task.abort();
        }
    }
}
