//! [`Second`]: the second attempt of a call, from what is kept for it to its end.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::budget::Withdrawal;
use crate::deadline::Deadline;
use crate::error::Rejectable;
use crate::hedge::shared::{Shared, Ticket};
use crate::observe::{EventKind, Stage, Withheld};
use crate::policy::{Attempt, Policy};
use crate::time::{self, Sleep};

pin_project! {
    #[project = Projected]
    pub(super) enum Second<S, F, Req> {
        // There is none, or none any more.
        None,
        // It has failed, and the service may have seen it.
        Seen,
        Kept {
            // Taken for the call.
            call: Option<(S, Req)>,
            deadline: Option<Deadline>,
            // Until its time comes; then, until the deadline, while its instance gets ready.
            #[pin]
            timer: Option<Sleep>,
            // There once its time has come.
            withdrawal: Option<Withdrawal>,
        },
        // Dropped with the attempt: a budget may count what is in flight.
        Sent { #[pin] inner: F, withdrawal: Option<Withdrawal> },
    }
}

/// Where a second attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    None,
    /// Its time has not come.
    Kept,
    /// Its time has come: its instance gets ready.
    Due,
    Sent,
}

impl<S, F, Req> Second<S, F, Req> {
    #[inline(always)]
    pub(super) fn keep(kept: Option<(S, Req)>, deadline: Option<Deadline>) -> Self {
        match kept {
            None => Self::None,
            call => Self::Kept { call, deadline, timer: None, withdrawal: None },
        }
    }

    #[inline(always)]
    pub(super) fn place(&self) -> Place {
        match self {
            Self::None | Self::Seen => Place::None,
            Self::Kept { withdrawal: None, .. } => Place::Kept,
            Self::Kept { .. } => Place::Due,
            Self::Sent { .. } => Place::Sent,
        }
    }

    /// Whether it has failed and the service may have seen it.
    pub(super) fn was_seen(&self) -> bool {
        matches!(self, Self::Seen)
    }

    /// The request that is kept.
    pub(super) fn request(&self) -> Option<&Req> {
        match self {
            Self::Kept { call: Some((_, request)), .. } => Some(request),
            _ => None,
        }
    }

    /// Pays for it, since its time has come. Where that cannot be, there will be none.
    pub(super) fn make_due<P>(mut self: Pin<&mut Self>, shared: &Shared<P>) -> bool {
        let Projected::Kept { deadline, mut timer, withdrawal, .. } = self.as_mut().project()
        else {
            return false;
        };
        timer.set(None);
        *withdrawal = shared.pay(*deadline);
        let due = withdrawal.is_some();
        if !due {
            self.set(Self::None);
        }
        due
    }

    /// Ready when its time has come. The timer is made when this is first asked.
    pub(super) fn poll_time<P>(
        mut self: Pin<&mut Self>,
        shared: &Shared<P>,
        ticket: &mut Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Projected::Kept { deadline, mut timer, .. } = self.as_mut().project() else {
            return Poll::Pending;
        };
        if timer.is_none() {
            let since = ticket.since();
            let Some(delay) = shared.pace.delay(since) else {
                self.set(Self::None);
                return Poll::Pending;
            };
            let at = time::later(since, delay);
            // No later than the deadline, when it is given up for good.
            let at = deadline.map_or(at, |deadline| deadline.instant().min(at));
            timer.set(Some(time::sleep_until(at)));
        }
        timer.as_pin_mut().map_or(Poll::Pending, |timer| timer.poll(cx))
    }
}

impl<S, Req> Second<S, S::Future, Req>
where
    S: Service<Req>,
    S::Error: Rejectable,
{
    /// Gets the instance ready and sends the request through it; `before` is called right before
    /// that. Ready when it is sent, or will not be.
    pub(super) fn poll_send<P>(
        mut self: Pin<&mut Self>,
        shared: &Shared<P>,
        before: impl FnOnce(),
        cx: &mut Context<'_>,
    ) -> Poll<()>
    where
        P: Policy<Req, S::Response, S::Error>,
    {
        let ready = ready!(self.as_mut().poll_ready(cx));
        let Projected::Kept { call, withdrawal, .. } = self.as_mut().project() else {
            return Poll::Ready(());
        };
        let ready = ready.and_then(|()| match call {
            // Its body may have gone by meanwhile, too long to be kept.
            Some((_, request)) if !shared.policy.may_hedge(request) => Err(Withheld::Request),
            _ => Ok(()),
        });
        let (Some((mut inner, mut request)), Ok(())) = (call.take(), ready) else {
            shared.withhold(ready.err().unwrap_or(Withheld::Request));
            self.set(Self::None);
            return Poll::Ready(());
        };
        let mut withdrawal = withdrawal.take();
        before();
        shared.policy.mark(&mut request, Attempt::new(2, 2));
        if let Some(withdrawal) = &mut withdrawal {
            withdrawal.sent();
        }
        shared.emitter.emit(Stage::InFlight, EventKind::Hedged);
        let inner = inner.call(request);
        self.set(Self::Sent { inner, withdrawal });
        Poll::Ready(())
    }

    /// Ready when its instance is, or why it will not be sent.
    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Withheld>> {
        let Projected::Kept { call: Some((inner, _)), deadline, mut timer, .. } = self.project()
        else {
            return Poll::Ready(Err(Withheld::Request));
        };
        match inner.poll_ready(cx) {
            // No attempt starts after the deadline, however long the instance took.
            Poll::Ready(Ok(())) if deadline.is_some_and(Deadline::has_passed) => {
                Poll::Ready(Err(Withheld::Deadline))
            }
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(_)) => Poll::Ready(Err(Withheld::Request)),
            Poll::Pending => {
                if timer.is_none() {
                    timer.set(deadline.map(|deadline| time::sleep_until(deadline.instant())));
                }
                match timer.as_pin_mut() {
                    None => Poll::Pending,
                    Some(timer) => timer.poll(cx).map(|()| Err(Withheld::Deadline)),
                }
            }
        }
    }

    /// Its outcome, once it is sent.
    pub(super) fn poll_outcome(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, S::Error>> {
        match self.project() {
            Projected::Sent { inner, .. } => inner.poll(cx),
            _ => Poll::Pending,
        }
    }
}
