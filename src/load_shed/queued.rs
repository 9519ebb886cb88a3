//! The response future of a load shed layer in which calls may wait.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::admission::{Permit, taken};
use crate::classify;
use crate::error::Rejectable;
use crate::load_shed::drive::{Drive, Named};
use crate::load_shed::state::{Place, State, Turn};
use crate::rejected::Rejected;
use crate::time::{self, Sleep};

pin_project! {
    /// The response future of a [`LoadShed`](super::LoadShed) in which calls may wait. While it
    /// waits it holds the request, a clone of the inner service, and a timer.
    pub struct QueuedFuture<S, F, Req, D> {
        #[pin]
        stage: Stage<S, F, Req>,
        driver: Named<D>,
    }
}

pin_project! {
    #[project = Projected]
    enum Stage<S, F, Req> {
        Refused { rejected: Option<Rejected> },
        Waiting {
            place: Place,
            // Taken for the call.
            call: Option<(S, Req)>,
            #[pin]
            timer: Option<Sleep>,
        },
        Running { #[pin] inner: F, permit: Permit<State> },
    }
}

impl<S, F, Req, D> QueuedFuture<S, F, Req, D> {
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self::at(Stage::Refused { rejected: Some(rejected) })
    }

    pub(super) fn waiting(place: Place, inner: S, request: Req) -> Self {
        Self::at(Stage::Waiting { place, call: Some((inner, request)), timer: None })
    }

    #[inline]
    pub(super) fn running(inner: F, permit: Permit<State>) -> Self {
        Self::at(Stage::Running { inner, permit })
    }

    #[inline]
    fn at(stage: Stage<S, F, Req>) -> Self {
        Self { stage, driver: PhantomData }
    }
}

impl<S, Req, D> Future for QueuedFuture<S, S::Future, Req, D>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    D: Drive<S, Req>,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            let next = match stage.as_mut().project() {
                Projected::Running { inner, permit } => {
                    let outcome = ready!(inner.poll(cx));
                    permit.settle(classify::of_outcome(&outcome));
                    return Poll::Ready(outcome);
                }
                Projected::Waiting { place, call, timer } => {
                    let (inner, _) = call.as_mut().expect("the call is taken once");
                    match ready!(poll_turn(place, inner, timer, cx)) {
                        Ok(permit) => {
                            let (mut inner, request) = call.take().expect("the call is taken once");
                            Stage::Running { inner: inner.call(request), permit }
                        }
                        Err(Stop::Failed(error)) => {
                            let (outcome, mut permit) = (Err(error), place.fail());
                            permit.settle(classify::of_outcome(&outcome));
                            return Poll::Ready(outcome);
                        }
                        Err(Stop::Refused) => {
                            let (rejected, duty) = place.refuse();
                            if let (Some(duty), Some((inner, _))) = (duty, call.take()) {
                                D::drive(inner, duty);
                            }
                            Stage::Refused { rejected: Some(rejected) }
                        }
                    }
                }
                Projected::Refused { rejected } => {
                    return Poll::Ready(Err(S::Error::from(taken(rejected))));
                }
            };
            stage.set(next);
        }
    }
}

/// Why a call that waited is not made.
enum Stop<E> {
    Refused,
    /// The inner service failed to get ready.
    Failed(E),
}

/// Ready when the call can be made: it has the turn, and the inner service is ready. What is ready
/// in the same poll as the timer wins.
fn poll_turn<S: Service<Req> + Clone, Req>(
    place: &mut Place,
    inner: &mut S,
    mut timer: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<Result<Permit<State>, Stop<S::Error>>> {
    while place.has_turn(cx.waker()) {
        match inner.poll_ready(cx) {
            Poll::Pending => break,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(Stop::Failed(error))),
            Poll::Ready(Ok(())) => match place.offer() {
                Turn::Served(permit) => return Poll::Ready(Ok(permit)),
                Turn::Late => return Poll::Ready(Err(Stop::Refused)),
                // The grant goes back, for the one whose turn it is.
                Turn::Passed => *inner = inner.clone(),
            },
        }
    }
    // Others can move the end of the wait: it may be later by the time the timer fires.
    while let Some(until) = place.until() {
        match timer.as_mut().as_pin_mut() {
            None => timer.set(Some(time::sleep_until(until))),
            Some(timer) if timer.deadline() != until => timer.reset(until),
            Some(_) => {}
        }
        let timer = timer.as_mut().as_pin_mut().expect("it was set");
        ready!(timer.poll(cx));
        if place.until().is_some_and(|until| until <= time::now()) {
            return Poll::Ready(Err(Stop::Refused));
        }
    }
    Poll::Pending
}

impl<S, F, Req, D> fmt::Debug for QueuedFuture<S, F, Req, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("load_shed::QueuedFuture")
    }
}
