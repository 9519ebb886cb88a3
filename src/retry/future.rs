//! The response future of a retry.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::admission::Permit;
use crate::error::{Rejectable, seen_before};
use crate::observe::Stage as Moment;
use crate::policy::Policy;
use crate::retry::session::Session;
use crate::retry::state::Shared;
use crate::sync::anchors::Anchor;

pin_project! {
    /// The response future of a [`Retry`](super::Retry). On top of the inner future it holds a
    /// clone of the inner service and of the request, and 48 bytes at most.
    pub struct ResponseFuture<S, F, Req, P> {
        #[pin]
        stage: Stage<S, F>,
        // What a further attempt needs. This instance of the service is never made ready itself:
        // one that fails to get ready is dead, and the next attempt takes a fresh clone.
        again: Option<(S, Req)>,
        permit: Permit<Anchor<Shared<P>>>,
        // Boxed: there only once an attempt has failed.
        session: Option<Box<Session>>,
    }
}

pin_project! {
    #[project = Projected]
    enum Stage<S, F> {
        Calling { #[pin] inner: F },
        HeldBack,
        GettingReady { service: S },
    }
}

impl<S, F, Req, P> ResponseFuture<S, F, Req, P> {
    #[inline(always)]
    pub(super) fn new(
        inner: F,
        again: Option<(S, Req)>,
        permit: Permit<Anchor<Shared<P>>>,
    ) -> Self {
        Self { stage: Stage::Calling { inner }, again, permit, session: None }
    }
}

impl<S, Req, P> Future for ResponseFuture<S, S::Future, Req, P>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    P: Policy<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut stage = this.stage;
        let mut call = Progress { again: this.again, permit: this.permit, session: this.session };
        loop {
            let next = match stage.as_mut().project() {
                Projected::Calling { inner } => {
                    let outcome = ready!(inner.poll(cx));
                    match call.conclude(outcome) {
                        Some(outcome) => return Poll::Ready(outcome),
                        // Both the future and the outcome are dropped before the wait: a
                        // connection goes back to its pool now.
                        None => Stage::HeldBack,
                    }
                }
                Projected::HeldBack => {
                    ready!(call.session().poll_held_back(cx));
                    Stage::GettingReady { service: call.fresh_service() }
                }
                Projected::GettingReady { service } => match service.poll_ready(cx) {
                    Poll::Ready(Ok(())) if !call.session().is_late() => {
                        Stage::Calling { inner: call.send(service) }
                    }
                    Poll::Ready(Err(error)) => {
                        let outcome = call.conclude(Err(error));
                        // Gives up what the service was granted, or is dead with.
                        stage.set(Stage::HeldBack);
                        match outcome {
                            Some(outcome) => return Poll::Ready(outcome),
                            None => continue,
                        }
                    }
                    late => {
                        if late.is_pending() {
                            ready!(call.session().poll_deadline(cx));
                        }
                        stage.set(Stage::HeldBack);
                        return Poll::Ready(Err(call.too_late()));
                    }
                },
            };
            stage.set(next);
        }
    }
}

/// All of a call but its stage.
struct Progress<'a, S, Req, P> {
    again: &'a mut Option<(S, Req)>,
    permit: &'a mut Permit<Anchor<Shared<P>>>,
    session: &'a mut Option<Box<Session>>,
}

impl<S, Req, P> Progress<'_, S, Req, P>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    P: Policy<Req, S::Response, S::Error>,
{
    /// The outcome back, if it is the caller's; nothing, if there is to be another attempt.
    #[inline(always)]
    fn conclude(
        &mut self,
        outcome: Result<S::Response, S::Error>,
    ) -> Option<Result<S::Response, S::Error>> {
        let Some(shared) = self.permit.admitter() else { return Some(outcome) };
        let class = shared.policy.classify(outcome.as_ref());
        let kept = self.again.as_ref().map(|(_, kept)| kept);
        if shared.goes_on(self.session, kept, outcome.as_ref(), class) {
            return None;
        }
        self.permit.settle(class);
        let seen = self.session.as_ref().is_some_and(|session| session.was_seen());
        self.end();
        Some(if seen { seen_before(outcome) } else { outcome })
    }

    /// The service for the attempt that is being prepared.
    fn fresh_service(&self) -> S {
        let (service, _) = self.again.as_ref().expect("no attempt without something to send");
        service.clone()
    }

    fn send(&mut self, service: &mut S) -> S::Future {
        let (spare, mut request) = self.again.take().expect("no attempt without something to send");
        let session = self.session.as_mut().expect("no attempt before the first has failed");
        if let Some(shared) = self.permit.admitter() {
            let kept = shared.keep(&mut request, session.attempt());
            *self.again = kept.map(|kept| (spare, kept));
            shared.emitter.emit(Moment::InFlight, session.send_attempt());
        }
        service.call(request)
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("no attempt before the first has failed")
    }

    /// The deadline has passed before the attempt could be sent.
    fn too_late(&mut self) -> S::Error {
        let seen = self.session().was_seen();
        let rejected = Shared::too_late(self.permit, seen);
        self.end();
        S::Error::from(rejected)
    }

    /// The answer may be kept longer than what the call needed.
    fn end(&mut self) {
        *self.again = None;
        *self.session = None;
    }
}

impl<S, F, Req, P> fmt::Debug for ResponseFuture<S, F, Req, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("retry::ResponseFuture")
    }
}
