//! [`AdaptiveLimit`]: the service of [`AdaptiveLimitLayer`](super::AdaptiveLimitLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::adaptive_limit::limit::Shared;
use crate::adaptive_limit::{Algorithm, Cohort, QueuedFuture, ResponseFuture};
use crate::admission::{self, Entry, Front, Queue, Refuse};
use crate::classify::{Classify, DefaultClassifier};
use crate::deadline::FindDeadline;
use crate::error::Rejectable;
use crate::priority::{FindPriority, NoPriority, Priority};

/// Limits the calls in flight to what the inner service can carry.
pub struct AdaptiveLimit<S, A = Cohort, C = DefaultClassifier, M = Refuse, P = NoPriority> {
    inner: S,
    front: Arc<Front<Shared<A, C>, P>>,
    mode: M,
}

impl<S, A, C, M, P> AdaptiveLimit<S, A, C, M, P> {
    pub(super) fn new(inner: S, front: Arc<Front<Shared<A, C>, P>>, mode: M) -> Self {
        Self { inner, front, mode }
    }

    fn class_of<Req>(&self, request: &Req) -> usize
    where
        P: FindPriority<Req>,
    {
        let priority = self.front.find.find_priority(request);
        priority.map_or_else(Default::default, Priority::class).index()
    }
}

impl<S, A, C, P, Req> Service<Req> for AdaptiveLimit<S, A, C, Refuse, P>
where
    S: Service<Req>,
    S::Error: Rejectable,
    A: Algorithm,
    C: Classify<S::Response, S::Error>,
    P: FindPriority<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, A, C>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        match admission::try_enter(&self.front.state, self.class_of(&request)) {
            // The permit exists before the inner service is called: a panic in there returns it.
            Ok(permit) => ResponseFuture::running(self.inner.call(request), permit),
            Err(rejected) => ResponseFuture::refused(rejected),
        }
    }
}

impl<S, A, C, D, P, Req> Service<Req> for AdaptiveLimit<S, A, C, Queue<D>, P>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    A: Algorithm,
    C: Classify<S::Response, S::Error>,
    D: FindDeadline<Req>,
    P: FindPriority<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = QueuedFuture<S, S::Future, Req, A, C>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        let class = self.class_of(&request);
        let deadline = || self.mode.deadline().find_deadline(&request);
        match admission::enter_or_wait(self.front.state.mine(), class, deadline) {
            Entry::Admitted(permit) => QueuedFuture::running(self.inner.call(request), permit),
            Entry::Refused(rejected) => QueuedFuture::refused(rejected),
            Entry::Waiting(place) => {
                // The instance that was made ready goes, and its grant with it: a waiting call
                // must not hold what running calls need.
                let fresh = self.inner.clone();
                self.inner = fresh.clone();
                QueuedFuture::waiting(place, fresh, request)
            }
        }
    }
}

impl<S: Clone, A, C, M: Clone, P> Clone for AdaptiveLimit<S, A, C, M, P> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.front.clone(), self.mode.clone())
    }
}

impl<S: fmt::Debug, A, C, M, P> fmt::Debug for AdaptiveLimit<S, A, C, M, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveLimit")
            .field("inner", &self.inner)
            .field("shared", &self.front.state)
            .finish_non_exhaustive()
    }
}
