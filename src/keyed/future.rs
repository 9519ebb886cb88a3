//! The response future of a keyed service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::admission::{Hold, PollHold, Settle};
use crate::classify::Class;
use crate::error::Rejectable;
use crate::keyed::registry::InFlight;
use crate::rejected::Rejected;

pin_project! {
    /// The response future of a [`Keyed`](super::Keyed): readies the instance, then calls it.
    pub struct ResponseFuture<T, F, Req, K, L> {
        #[pin]
        state: State<T, F, Req>,
        // Let go after the inner future.
        in_flight: Option<InFlight<K, L>>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<T, F, Req> {
        Refused { rejected: Option<Rejected> },
        // Taken for the call.
        Waiting { call: Option<(T, Req)> },
        Running { #[pin] inner: F },
        Ended,
    }
}

impl<T, F, Req, K, L> ResponseFuture<T, F, Req, K, L> {
    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { state: State::Refused { rejected: Some(rejected) }, in_flight: None }
    }

    #[inline]
    pub(super) fn waiting(instance: T, request: Req, in_flight: InFlight<K, L>) -> Self {
        let state = State::Waiting { call: Some((instance, request)) };
        Self { state, in_flight: Some(in_flight) }
    }
}

impl<T, Req, K, L> ResponseFuture<T, T::Future, Req, K, L>
where
    T: Service<Req>,
    T::Error: From<Rejected>,
{
    /// Ends with what `poll` makes of the inner future, or with what came instead of it.
    #[inline]
    fn poll_with<R>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut T::Future>, &mut Context<'_>) -> Poll<R>,
        instead: impl FnOnce(T::Error) -> R,
    ) -> Poll<(R, Option<InFlight<K, L>>)> {
        let mut this = self.project();
        if let Projected::Waiting { call } = this.state.as_mut().project() {
            let (instance, _) = call.as_mut().expect("the call is taken once");
            match ready!(instance.poll_ready(cx)) {
                Ok(()) => {
                    let (mut instance, request) = call.take().expect("the call is taken once");
                    let inner = instance.call(request);
                    this.state.set(State::Running { inner });
                }
                Err(error) => {
                    this.state.set(State::Ended);
                    return Poll::Ready((instead(error), this.in_flight.take()));
                }
            }
        }
        let outcome = match this.state.as_mut().project() {
            Projected::Running { inner } => ready!(poll(inner, cx)),
            Projected::Refused { rejected } => {
                instead(rejected.take().expect("polled after the end").into())
            }
            _ => panic!("polled after the end"),
        };
        this.state.set(State::Ended);
        Poll::Ready((outcome, this.in_flight.take()))
    }
}

impl<T, Req, K, L> Future for ResponseFuture<T, T::Future, Req, K, L>
where
    T: Service<Req>,
    T::Error: Rejectable,
{
    type Output = Result<T::Response, T::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_with(cx, Future::poll, Err).map(|(outcome, _)| outcome)
    }
}

impl<T, Req, K, L> Hold<T::Response, T::Error> for ResponseFuture<T, T::Future, Req, K, L>
where
    T: Service<Req, Future: Hold<T::Response, T::Error>>,
    T::Error: Rejectable,
{
    type Permit = HeldInstance<<T::Future as Hold<T::Response, T::Error>>::Permit, K, L>;

    fn poll_hold(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> PollHold<T::Response, T::Error, Self::Permit> {
        let poll = self.poll_with(cx, Hold::poll_hold, |error| (Err(error), None));
        poll.map(|((outcome, permit), in_flight)| {
            let held = permit.map(|permit| HeldInstance { permit, _in_flight: in_flight });
            (outcome, held)
        })
    }
}

/// What the layers of a key hold for a call, and the key: it is not forgotten before that ends.
pub struct HeldInstance<P, K, L> {
    permit: P,
    _in_flight: Option<InFlight<K, L>>,
}

impl<P: Settle, K, L> Settle for HeldInstance<P, K, L> {
    type Classifier = P::Classifier;

    fn classifier(&self) -> &P::Classifier {
        self.permit.classifier()
    }

    fn settle(self, class: Class) {
        self.permit.settle(class);
    }
}

impl<P: fmt::Debug, K, L> fmt::Debug for HeldInstance<P, K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldInstance").field("permit", &self.permit).finish_non_exhaustive()
    }
}

impl<T, F, Req, K, L> fmt::Debug for ResponseFuture<T, F, Req, K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keyed::ResponseFuture")
    }
}
