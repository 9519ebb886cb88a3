//! The response future of a rate limit that lets calls wait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::admission::{Permit, taken};
use crate::classify;
use crate::error::Rejectable;
use crate::rate_limit::state::Shared;
use crate::rate_limit::turn::Turn;
use crate::rate_limit::{Buckets, Whole};
use crate::rejected::Rejected;
use crate::time::{self, Sleep};

pin_project! {
    /// The response future of a [`RateLimit`](super::RateLimit) with a `max_wait`. While it waits it
    /// holds the request, a clone of the inner service, and a timer.
    pub struct WaitingFuture<S, F, Req, K: Buckets = Whole> {
        #[pin]
        stage: Stage<S, F, Req, K>,
    }
}

pin_project! {
    #[project = Projected]
    enum Stage<S, F, Req, K: Buckets> {
        Refused { rejected: Option<Rejected> },
        Waiting {
            turn: Turn<K>,
            // There once the turn has come, while the inner service gets ready.
            permit: Option<Permit<Shared>>,
            // Taken for the call.
            call: Option<(S, Req)>,
            #[pin]
            timer: Option<Sleep>,
        },
        Running { #[pin] inner: F, permit: Permit<Shared> },
    }
}

impl<S, F, Req, K: Buckets> WaitingFuture<S, F, Req, K> {
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { stage: Stage::Refused { rejected: Some(rejected) } }
    }

    pub(super) fn waiting(turn: Turn<K>, inner: S, request: Req) -> Self {
        let call = Some((inner, request));
        Self { stage: Stage::Waiting { turn, permit: None, call, timer: None } }
    }

    #[inline]
    pub(super) fn running(inner: F, permit: Permit<Shared>) -> Self {
        Self { stage: Stage::Running { inner, permit } }
    }
}

impl<S, Req, K> Future for WaitingFuture<S, S::Future, Req, K>
where
    S: Service<Req>,
    S::Error: Rejectable,
    K: Buckets,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            let next = match stage.as_mut().project() {
                Projected::Running { inner, permit } => {
                    let outcome = ready!(inner.poll(cx));
                    permit.settle(classify::of_outcome(&outcome));
                    return Poll::Ready(outcome);
                }
                Projected::Waiting { turn, permit, call, timer } => {
                    match ready!(poll_turn(turn, permit, call, timer, cx)) {
                        Err(Stop::Refused(rejected)) => Stage::Refused { rejected: Some(rejected) },
                        Err(Stop::Failed(error)) => {
                            let outcome = Err(error);
                            let permit = permit.as_mut().expect("its turn has come");
                            permit.settle(classify::of_outcome(&outcome));
                            return Poll::Ready(outcome);
                        }
                        Ok(()) => {
                            turn.use_up();
                            let permit = permit.take().expect("its turn has come");
                            let (mut inner, request) = call.take().expect("the call is taken once");
                            Stage::Running { inner: inner.call(request), permit }
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
    Refused(Rejected),
    /// The inner service failed to get ready.
    Failed(E),
}

/// Ready when the call can be made: its turn has come, and the inner service is ready. The inner
/// service is not asked before, so that a waiting call holds nothing of it.
fn poll_turn<S: Service<Req>, Req, K: Buckets>(
    turn: &mut Turn<K>,
    permit: &mut Option<Permit<Shared>>,
    call: &mut Option<(S, Req)>,
    mut timer: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Stop<S::Error>>> {
    loop {
        if turn.is_admitted() {
            let (inner, _) = call.as_mut().expect("the call is taken once");
            if let Poll::Ready(readiness) = inner.poll_ready(cx) {
                if turn.is_late() {
                    return Poll::Ready(Err(Stop::Refused(turn.time_out(permit.as_mut()))));
                }
                return Poll::Ready(readiness.map_err(Stop::Failed));
            }
        }
        if timer.is_none() {
            timer.set(Some(time::sleep_until(turn.alarm())));
        }
        if let Some(timer) = timer.as_mut().as_pin_mut() {
            ready!(timer.poll(cx));
        }
        timer.set(None);
        if turn.is_admitted() {
            return Poll::Ready(Err(Stop::Refused(turn.time_out(permit.as_mut()))));
        }
        *permit = Some(turn.admit());
    }
}

impl<S, F, Req, K: Buckets> fmt::Debug for WaitingFuture<S, F, Req, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rate_limit::WaitingFuture")
    }
}
