//! [`QueuedCall`]: what the response futures of all layers with a line have in common.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::admission::{Limited, Permit, Place, taken};
use crate::rejected::Rejected;
use crate::time::{self, Sleep};

pin_project! {
    /// As [`Call`](super::Call), but one that may wait for its turn. While it waits it holds the
    /// request, a clone of the inner service, and a timer if the wait has an end.
    #[project = Projected]
    pub(crate) enum QueuedCall<S, F, Req, A: Limited> {
        Refused { rejected: Option<Rejected> },
        Waiting {
            place: Place<A>,
            // There once the turn has come, while the inner service gets ready.
            permit: Option<Permit<A>>,
            // Taken for the call.
            call: Option<(S, Req)>,
            #[pin]
            timer: Option<Sleep>,
        },
        Running { #[pin] inner: F, permit: Permit<A> },
    }
}

impl<S, F, Req, A: Limited> QueuedCall<S, F, Req, A> {
    pub(crate) fn refused(rejected: Rejected) -> Self {
        Self::Refused { rejected: Some(rejected) }
    }

    pub(crate) fn waiting(place: Place<A>, inner: S, request: Req) -> Self {
        Self::Waiting { place, permit: None, call: Some((inner, request)), timer: None }
    }

    pub(crate) fn running(inner: F, permit: Permit<A>) -> Self {
        Self::Running { inner, permit }
    }
}

impl<S: Service<Req>, Req, A: Limited> QueuedCall<S, S::Future, Req, A>
where
    S::Error: From<Rejected>,
{
    /// Finishes with the outcome and the permit to settle with it; a refusal has none.
    pub(crate) fn poll_with<R>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        finish: impl FnOnce(Result<S::Response, S::Error>, Option<&mut Permit<A>>) -> R,
    ) -> Poll<R> {
        loop {
            let next = match self.as_mut().project() {
                Projected::Running { inner, permit } => {
                    let outcome = ready!(inner.poll(cx));
                    return Poll::Ready(finish(outcome, Some(permit)));
                }
                Projected::Waiting { place, permit, call, timer } => {
                    match ready!(poll_turn(place, permit, call, timer, cx)) {
                        Err(Stop::Refused(rejected)) => Self::refused(rejected),
                        Err(Stop::Failed(error)) => {
                            return Poll::Ready(finish(Err(error), permit.as_mut()));
                        }
                        Ok(()) => {
                            let permit = permit.take().expect("its turn has come");
                            let (mut inner, request) = call.take().expect("the call is taken once");
                            Self::running(inner.call(request), permit)
                        }
                    }
                }
                Projected::Refused { rejected } => {
                    return Poll::Ready(finish(Err(S::Error::from(taken(rejected))), None));
                }
            };
            self.set(next);
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
fn poll_turn<S: Service<Req>, Req, A: Limited>(
    place: &mut Place<A>,
    permit: &mut Option<Permit<A>>,
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
