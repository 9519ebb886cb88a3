//! The response future of a bulkhead with a queue.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::admission::{Hold, Permit, PollHold, taken};
use crate::bulkhead::state::{HeldSlot, Place, State};
use crate::classify;
use crate::error::Rejectable;
use crate::rejected::Rejected;
use crate::time::{self, Sleep};

pin_project! {
    /// The response future of a [`Bulkhead`](super::Bulkhead) with a queue. While it waits it
    /// holds the request, a clone of the inner service, and a timer if the wait has an end.
    pub struct QueuedFuture<S, F, Req> {
        #[pin]
        stage: Stage<S, F, Req>,
    }
}

pin_project! {
    #[project = Projected]
    enum Stage<S, F, Req> {
        Refused { rejected: Option<Rejected> },
        Waiting {
            place: Place,
            // There once the turn has come, while the inner service gets ready.
            permit: Option<Permit<State>>,
            // Taken for the call.
            call: Option<(S, Req)>,
            #[pin]
            timer: Option<Sleep>,
        },
        Running { #[pin] inner: F, permit: Permit<State> },
    }
}

impl<S, F, Req> QueuedFuture<S, F, Req> {
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { stage: Stage::Refused { rejected: Some(rejected) } }
    }

    pub(super) fn waiting(place: Place, inner: S, request: Req) -> Self {
        let call = Some((inner, request));
        Self { stage: Stage::Waiting { place, permit: None, call, timer: None } }
    }

    pub(super) fn running(inner: F, permit: Permit<State>) -> Self {
        Self { stage: Stage::Running { inner, permit } }
    }
}

impl<S, Req> Future for QueuedFuture<S, S::Future, Req>
where
    S: Service<Req>,
    S::Error: Rejectable,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (outcome, permit) = ready!(self.poll_hold(cx));
        if let Some(HeldSlot(mut permit)) = permit {
            permit.settle(classify::of_outcome(&outcome));
        }
        Poll::Ready(outcome)
    }
}

impl<S, Req> Hold<S::Response, S::Error> for QueuedFuture<S, S::Future, Req>
where
    S: Service<Req>,
    S::Error: Rejectable,
{
    type Permit = HeldSlot;

    fn poll_hold(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> PollHold<S::Response, S::Error, HeldSlot> {
        let mut stage = self.project().stage;
        loop {
            let next = match stage.as_mut().project() {
                Projected::Running { inner, permit } => {
                    let outcome = ready!(inner.poll(cx));
                    return Poll::Ready((outcome, Some(HeldSlot(permit.take()))));
                }
                Projected::Waiting { place, permit, call, timer } => {
                    match ready!(poll_turn(place, permit, call, timer, cx)) {
                        Err(Stop::Refused(rejected)) => Stage::Refused { rejected: Some(rejected) },
                        Err(Stop::Failed(error)) => {
                            return Poll::Ready((Err(error), permit.take().map(HeldSlot)));
                        }
                        Ok(()) => {
                            let permit = permit.take().expect("its turn has come");
                            let (mut inner, request) = call.take().expect("the call is taken once");
                            Stage::Running { inner: inner.call(request), permit }
                        }
                    }
                }
                Projected::Refused { rejected } => {
                    return Poll::Ready((Err(S::Error::from(taken(rejected))), None));
                }
            };
            stage.set(next);
        }
    }
}

/// Why a call that waited is not made.
enum Stop<E> {
    Refused(Rejected),
    /// The inner service failed to get ready.
    Failed(E),
}

/// Ready when the call can be made: it has its slot, and the inner service is ready. The wait for
/// either ends in time; what is there in the same poll as the timer wins.
fn poll_turn<S: Service<Req>, Req>(
    place: &mut Place,
    permit: &mut Option<Permit<State>>,
    call: &mut Option<(S, Req)>,
    mut timer: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Stop<S::Error>>> {
    if permit.is_none() {
        *permit = place.poll_granted(cx.waker());
    }
    if permit.is_some() {
        let (inner, _) = call.as_mut().expect("the call is taken once");
        if let Poll::Ready(readiness) = inner.poll_ready(cx) {
            if place.is_late() {
                return Poll::Ready(Err(Stop::Refused(place.time_out(permit.as_mut()))));
            }
            return Poll::Ready(readiness.map_err(Stop::Failed));
        }
    }
    if timer.is_none() {
        timer.set(place.until().map(time::sleep_until));
    }
    match timer.as_pin_mut() {
        None => Poll::Pending,
        Some(timer) => {
            ready!(timer.poll(cx));
            Poll::Ready(Err(Stop::Refused(place.time_out(permit.as_mut()))))
        }
    }
}

impl<S, F, Req> fmt::Debug for QueuedFuture<S, F, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bulkhead::QueuedFuture")
    }
}
