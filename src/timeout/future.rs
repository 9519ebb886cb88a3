//! The response future of a timeout and of a deadline.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::admission::{Permit, taken};
use crate::classify;
use crate::error::Rejectable;
use crate::rejected::{Reason, Rejected};
use crate::sync::anchors::Anchor;
use crate::time::{self, Sleep};
use crate::timeout::state::{Bound, Shared};

pin_project! {
    /// The response future of a [`Timeout`](super::Timeout) and of a
    /// [`Deadlined`](super::Deadlined): 144 bytes at most on top of the inner
    /// future, most of them the timer's.
    pub struct ResponseFuture<F> {
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = Projected]
    enum Stage<F> {
        Refused { rejected: Option<Rejected> },
        Running { #[pin] inner: F, #[pin] timer: Timer, permit: Permit<Anchor<Shared>> },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { stage: Stage::Refused { rejected: Some(rejected) } }
    }

    #[inline(always)]
    pub(super) fn running(inner: F, bound: Bound, permit: Permit<Anchor<Shared>>) -> Self {
        Self { stage: Stage::Running { inner, timer: Timer::new(bound), permit } }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
{
    type Output = Result<T, E>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        let rejected = match stage.as_mut().project() {
            Projected::Running { inner, timer, permit } => {
                if let Poll::Ready(outcome) = inner.poll(cx) {
                    permit.settle(classify::of_outcome(&outcome));
                    return Poll::Ready(outcome);
                }
                let reason = ready!(timer.poll_over(permit, cx));
                Shared::end(permit, reason)
            }
            Projected::Refused { rejected } => taken(rejected),
        };
        // Drops the inner future now: the answer may be kept longer than the call may run.
        stage.set(Stage::Refused { rejected: None });
        Poll::Ready(Err(E::from(rejected)))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timeout::ResponseFuture")
    }
}

pin_project! {
    /// The timer of one call: made when the call is first found pending.
    #[project = Running]
    enum Timer {
        NotYet { bound: Bound },
        Set { #[pin] sleep: Sleep, reason: Reason },
        // The call has no end, or shadow mode has reported it and lets the call run on.
        Off,
    }
}

impl Timer {
    fn new(bound: Bound) -> Self {
        Self::NotYet { bound }
    }

    /// Ready when the time is over.
    fn poll_over(
        mut self: Pin<&mut Self>,
        permit: &Permit<Anchor<Shared>>,
        cx: &mut Context<'_>,
    ) -> Poll<Reason> {
        if let Running::NotYet { bound } = self.as_mut().project() {
            let timer = bound.end(time::now).map_or(Self::Off, |(at, reason)| Self::Set {
                sleep: time::sleep_until(at),
                reason,
            });
            self.set(timer);
        }
        let Running::Set { sleep, reason } = self.as_mut().project() else {
            return Poll::Pending;
        };
        if sleep.poll(cx).is_pending() {
            return Poll::Pending;
        }
        let reason = *reason;
        match permit.admitter().filter(|shared| shared.shadow) {
            None => Poll::Ready(reason),
            Some(shared) => {
                self.set(Self::Off);
                shared.would_end(reason);
                Poll::Pending
            }
        }
    }
}
