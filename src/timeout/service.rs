//! [`Timeout`]: the service of [`TimeoutLayer`](super::TimeoutLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_service::Service;

use crate::admission::Front;
use crate::deadline::{Deadline, FindDeadline, NoDeadline};
use crate::error::Rejectable;
use crate::rejected::{Reason, Rejected};
use crate::timeout::detach::{Detach, Tracked};
use crate::timeout::readiness::Readiness;
use crate::timeout::state::{Bound, Shared};
use crate::timeout::{FindLimit, Fixed, ResponseFuture};

/// Bounds the calls to the inner service.
///
/// `D` finds a request's deadline, `P` its own limit, and `M` says what becomes of a call whose
/// time is over: [`Cancel`] or [`Detach`].
pub struct Timeout<S, D = NoDeadline, P = Fixed, M = Cancel> {
    inner: S,
    front: Arc<Front<Shared, Finders<D, P>>>,
    mode: M,
    /// There where waiting for readiness counts.
    readiness: Option<Box<Readiness>>,
}

/// A call whose time is over is dropped: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cancel;

/// What is asked of each request.
#[derive(Debug)]
pub(super) struct Finders<D, P> {
    pub(super) deadline: D,
    pub(super) limit: P,
    /// The limit of a request that has none of its own.
    pub(super) own: Duration,
}

impl<S, D, P, M> Timeout<S, D, P, M> {
    pub(super) fn new(
        inner: S,
        front: Arc<Front<Shared, Finders<D, P>>>,
        mode: M,
        also_readiness: bool,
    ) -> Self {
        let readiness = also_readiness.then(Box::default);
        Self { inner, front, mode, readiness }
    }

    #[inline(always)]
    fn poll_inner_ready<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<Req>,
    {
        if self.readiness.is_none() {
            return self.inner.poll_ready(cx);
        }
        self.poll_measured(cx)
    }

    /// Where waiting for readiness counts.
    #[cold]
    fn poll_measured<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<Req>,
    {
        let Some(readiness) = &mut self.readiness else { return Poll::Ready(Ok(())) };
        let inner = |cx: &mut Context<'_>| self.inner.poll_ready(cx);
        readiness.poll(inner, &self.front.state, self.front.find.own, cx)
    }

    /// The bound of this call, or the refusal of one that comes too late.
    #[inline(always)]
    fn bound<Req>(&mut self, request: &Req) -> Result<Bound, Rejected>
    where
        D: FindDeadline<Req>,
        P: FindLimit<Req>,
    {
        let mut limit = self.front.find.limit.find_limit(request).unwrap_or(self.front.find.own);
        if let Some(readiness) = &mut self.readiness {
            limit = readiness.finish(limit, &self.front.state)?;
        }
        let mut deadline = self.front.find.deadline.find_deadline(request);
        if deadline.is_some_and(Deadline::has_passed) {
            self.front.state.refuse_or_report(Reason::DeadlineExceeded)?;
            deadline = None;
        }
        Ok(Bound { limit, deadline })
    }
}

impl<S, D, P, Req> Service<Req> for Timeout<S, D, P, Cancel>
where
    S: Service<Req>,
    S::Error: Rejectable,
    D: FindDeadline<Req>,
    P: FindLimit<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.poll_inner_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        match self.bound(&request) {
            Err(rejected) => ResponseFuture::refused(rejected),
            Ok(bound) => {
                let permit = Shared::admit(&self.front.state, None);
                ResponseFuture::running(self.inner.call(request), bound, permit)
            }
        }
    }
}

impl<S, D, P, Req> Service<Req> for Timeout<S, D, P, Detach>
where
    S: Service<Req>,
    S::Error: Rejectable,
    S::Future: Send + 'static,
    D: FindDeadline<Req>,
    P: FindLimit<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<Tracked<S::Future>>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.poll_inner_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        match self.bound(&request) {
            Err(rejected) => ResponseFuture::refused(rejected),
            Ok(bound) => {
                let permit = Shared::admit(&self.front.state, None);
                let inner = self.mode.track(self.inner.call(request));
                ResponseFuture::running(inner, bound, permit)
            }
        }
    }
}

impl<S: Clone, D, P, M: Clone> Clone for Timeout<S, D, P, M> {
    fn clone(&self) -> Self {
        Self::new(
            self.inner.clone(),
            self.front.clone(),
            self.mode.clone(),
            self.readiness.is_some(),
        )
    }
}

impl<S: fmt::Debug, D, P, M> fmt::Debug for Timeout<S, D, P, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout")
            .field("inner", &self.inner)
            .field("limit", &self.front.find.own)
            .finish_non_exhaustive()
    }
}
