//! The response future of a hedge.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::admission::Permit;
use crate::classify::Class;
use crate::error::{Rejectable, may_be_seen, seen_before};
use crate::hedge::second::{Place, Second};
use crate::hedge::shared::{Shared, Ticket};
use crate::policy::Policy;
use crate::sync::anchors::Anchor;

pin_project! {
    /// The response future of a [`Hedge`](super::Hedge). Both attempts are in it, without a box: it
    /// is as large as two inner futures and 72 bytes, and at least as large as one, the request, the
    /// inner service and 208 bytes, most of them the timer's.
    pub struct ResponseFuture<S, Req, P>
    where
        S: Service<Req>,
    {
        #[pin]
        first: First<S::Future, Outcome<S, Req>>,
        #[pin]
        second: Second<S, S::Future, Req>,
        permit: Permit<Anchor<Shared<P>>>,
    }
}

type Outcome<S, Req> = Result<<S as Service<Req>>::Response, <S as Service<Req>>::Error>;

pin_project! {
    #[project = Projected]
    enum First<F, O> {
        InFlight { #[pin] inner: F },
        // It failed, and the second attempt is not sent yet: its answer, should there be none.
        Failed { answer: Option<(O, Class)>, seen: bool },
        Gone { seen: bool },
    }
}

impl<S, Req, P> ResponseFuture<S, Req, P>
where
    S: Service<Req>,
{
    #[inline(always)]
    pub(super) fn new(
        first: S::Future,
        second: Second<S, S::Future, Req>,
        permit: Permit<Anchor<Shared<P>>>,
    ) -> Self {
        Self { first: First::InFlight { inner: first }, second, permit }
    }
}

impl<S, Req, P> Future for ResponseFuture<S, Req, P>
where
    S: Service<Req>,
    S::Error: Rejectable,
    P: Policy<Req, S::Response, S::Error>,
{
    type Output = Outcome<S, Req>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut failed = None;
        if let Projected::InFlight { inner } = this.first.as_mut().project()
            && let Poll::Ready(outcome) = inner.poll(cx)
        {
            let class = this.permit.admitter().expect(OVER).judge(outcome.as_ref());
            let place = this.second.place();
            if is_acceptable(class) || place == Place::None {
                // The loser goes before the winner is told: the answer may be kept for long. What
                // was only kept goes with the future, and so does what has answered.
                #[cfg(not(mutant = "hedge-loser-kept"))]
                if matches!(place, Place::Due | Place::Sent) {
                    this.second.set(Second::None);
                }
                this.permit.settle(class);
                let seen = this.second.was_seen();
                return Poll::Ready(if seen { seen_before(outcome) } else { outcome });
            }
            failed = Some((outcome, class));
        }
        Attempts { first: this.first, second: this.second }.poll(failed, this.permit, cx)
    }
}

const OVER: &str = "a response future is not polled after it was ready";

/// Both attempts, where the first alone does not decide.
struct Attempts<'a, S, Req>
where
    S: Service<Req>,
{
    first: Pin<&'a mut First<S::Future, Outcome<S, Req>>>,
    second: Pin<&'a mut Second<S, S::Future, Req>>,
}

/// The outcome that the caller gets.
type Answer<S, Req> = (Outcome<S, Req>, Class);

impl<S, Req> Attempts<'_, S, Req>
where
    S: Service<Req>,
    S::Error: Rejectable,
{
    // Apart, so that the way of a first attempt that is ready at once is short.
    #[inline(always)]
    fn poll<P>(
        mut self,
        failed: Option<Answer<S, Req>>,
        permit: &mut Permit<Anchor<Shared<P>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<S, Req>>
    where
        P: Policy<Req, S::Response, S::Error>,
    {
        let (shared, ticket) = permit.held_mut().expect(OVER);
        let answer = failed.and_then(|failed| self.first_failed(failed, shared, ticket));
        let (outcome, class) = match answer {
            Some(answer) => answer,
            None => ready!(self.poll_second(shared, ticket, cx)),
        };
        self.second.set(Second::None);
        let first_ran = matches!(*self.first, First::InFlight { .. });
        self.first.set(First::Gone { seen: false });
        if let Some((shared, ticket)) = permit.release() {
            shared.end(&ticket, class, first_ran);
        }
        Poll::Ready(outcome)
    }

    /// Nothing where a second attempt is in flight or made due, which is then waited for; else the
    /// failure is the answer.
    #[cold]
    fn first_failed<P>(
        &mut self,
        (outcome, class): Answer<S, Req>,
        shared: &Shared<P>,
        ticket: &Ticket,
    ) -> Option<Answer<S, Req>>
    where
        P: Policy<Req, S::Response, S::Error>,
    {
        let goes_on = match self.second.place() {
            Place::None => false,
            Place::Sent => true,
            place => {
                let request = self.second.request();
                request.is_some_and(|kept| shared.may_follow(kept, outcome.as_ref(), class))
                    && (place == Place::Due || self.second.as_mut().make_due(shared))
            }
        };
        if !goes_on {
            return Some((outcome, class));
        }
        shared.first_is_over(ticket, class);
        let seen = may_be_seen(outcome.as_ref());
        self.first.set(match self.second.place() {
            Place::Sent => First::Gone { seen },
            _ => First::Failed { answer: Some((outcome, class)), seen },
        });
        None
    }

    fn poll_second<P>(
        &mut self,
        shared: &Shared<P>,
        ticket: &mut Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Answer<S, Req>>
    where
        P: Policy<Req, S::Response, S::Error>,
    {
        if shared.pace.measures() {
            ticket.since();
        }
        if self.second.place() == Place::Kept {
            ready!(self.second.as_mut().poll_time(shared, ticket, cx));
            self.second.as_mut().make_due(shared);
        }
        if self.second.place() == Place::Due {
            let first = &mut self.first;
            // What the first attempt left is dropped before the second is sent.
            let discard = || {
                if let First::Failed { seen, .. } = **first {
                    first.set(First::Gone { seen });
                }
            };
            ready!(self.second.as_mut().poll_send(shared, discard, cx));
        }
        if self.second.place() == Place::None {
            return self.first_alone();
        }
        let outcome = ready!(self.second.as_mut().poll_outcome(cx));
        let class = shared.judge(outcome.as_ref());
        match *self.first {
            First::InFlight { .. } if !is_acceptable(class) => {
                let seen = may_be_seen(outcome.as_ref());
                self.second.set(if seen { Second::Seen } else { Second::None });
                Poll::Pending
            }
            First::Gone { seen: true } => Poll::Ready((seen_before(outcome), class)),
            _ => Poll::Ready((outcome, class)),
        }
    }

    /// There is no second attempt, or none any more.
    fn first_alone(&mut self) -> Poll<Answer<S, Req>> {
        match self.first.as_mut().project() {
            Projected::Failed { answer, .. } => {
                Poll::Ready(answer.take().expect("it is answered once"))
            }
            _ => Poll::Pending,
        }
    }
}

fn is_acceptable(class: Class) -> bool {
    matches!(class, Class::Success | Class::Permanent)
}

impl<S, Req, P> fmt::Debug for ResponseFuture<S, Req, P>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hedge::ResponseFuture")
    }
}
