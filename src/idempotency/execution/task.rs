//! Tasks that their callers may leave, and those who wait for their ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFuture};

use crate::idempotency::execution::OnCancel;
use crate::idempotency::execution::panics::Panic;
use crate::sync::{AtomicBool, AtomicUsize, Ordering};

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
pub(crate) struct Caller<T> {
    answer: oneshot::Sender<Result<T, Panic>>,
    left: CancellationToken,
    pub(super) on_cancel: OnCancel,
    ran: AtomicBool,
}

impl<T> Caller<T> {
    /// What comes of `work`; `None` if the caller has left before.
    pub(super) fn while_there<F: Future>(&self, work: F) -> WhileThere<'_, F> {
        WhileThere { left: self.left.cancelled(), work }
    }

    /// The request is sent.
    pub(super) fn runs(&self) {
        self.ran.store(true, Ordering::Release);
    }

    /// Hands the answer over. Whether its request has run to its end for nobody.
    pub(super) fn answer(self, answer: Result<T, Panic>) -> bool {
        self.answer.send(answer).is_err() && self.ran.load(Ordering::Acquire)
    }
}

pin_project! {
    pub(super) struct WhileThere<'a, F> {
        #[pin]
        left: WaitForCancellationFuture<'a>,
        #[pin]
        work: F,
    }
}

impl<F: Future> Future for WhileThere<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let this = self.project();
        match this.left.poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => this.work.poll(cx).map(Some),
        }
    }
}

/// A caller, and its own view of the task.
pub(super) fn caller<T>(on_cancel: OnCancel) -> (Caller<T>, Running<T>) {
    let (sender, receiver) = oneshot::channel();
    let left = CancellationToken::new();
    let running = Running { _left: left.clone().drop_guard(), answer: receiver };
    (Caller { answer: sender, left, on_cancel, ran: AtomicBool::new(false) }, running)
}

/// The caller's view of its task. Resumes the panic of the handler.
#[derive(Debug)]
pub(crate) struct Running<T> {
    /// Dropped with this, it tells the task.
    _left: DropGuard,
    answer: oneshot::Receiver<Result<T, Panic>>,
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
