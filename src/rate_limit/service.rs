//! [`RateLimit`]: the service of [`RateLimitLayer`](super::RateLimitLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::admission::{Queue, Refuse};
use crate::deadline::FindDeadline;
use crate::error::Rejectable;
use crate::rate_limit::entry::{self, Entry};
use crate::rate_limit::state::Shared;
use crate::rate_limit::{FindBucket, FindCost, Fixed, ResponseFuture, WaitingFuture, Whole};

/// Limits the rate of calls to the inner service.
pub struct RateLimit<S, K = Whole, M = Refuse, C = Fixed> {
    inner: S,
    shared: Arc<Shared>,
    buckets: Arc<K>,
    mode: M,
    cost: Arc<C>,
}

impl<S, K, M, C> RateLimit<S, K, M, C> {
    pub(super) fn new(
        inner: S,
        shared: Arc<Shared>,
        buckets: Arc<K>,
        mode: M,
        cost: Arc<C>,
    ) -> Self {
        Self { inner, shared, buckets, mode, cost }
    }
}

impl<S, K, C, Req> Service<Req> for RateLimit<S, K, Refuse, C>
where
    S: Service<Req>,
    S::Error: Rejectable,
    K: FindBucket<Req>,
    C: FindCost<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        match entry::try_enter(&self.shared, &*self.buckets, &*self.cost, &request) {
            Ok(permit) => ResponseFuture::running(self.inner.call(request), permit),
            Err(rejected) => ResponseFuture::refused(rejected),
        }
    }
}

impl<S, K, D, C, Req> Service<Req> for RateLimit<S, K, Queue<D>, C>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    K: FindBucket<Req>,
    D: FindDeadline<Req>,
    C: FindCost<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = WaitingFuture<S, S::Future, Req, K>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        let deadline = || self.mode.deadline().find_deadline(&request);
        match entry::enter_or_wait(&self.shared, &self.buckets, &*self.cost, &request, deadline) {
            Entry::Admitted(permit) => WaitingFuture::running(self.inner.call(request), permit),
            Entry::Refused(rejected) => WaitingFuture::refused(rejected),
            Entry::Waiting(turn) => {
                // The instance that was made ready goes, and its grant with it: a waiting call
                // must not hold what running calls need.
                let fresh = self.inner.clone();
                self.inner = fresh.clone();
                WaitingFuture::waiting(turn, fresh, request)
            }
        }
    }
}

impl<S: Clone, K, M: Clone, C> Clone for RateLimit<S, K, M, C> {
    fn clone(&self) -> Self {
        Self::new(
            self.inner.clone(),
            self.shared.clone(),
            self.buckets.clone(),
            self.mode.clone(),
            self.cost.clone(),
        )
    }
}

impl<S: fmt::Debug, K, M, C> fmt::Debug for RateLimit<S, K, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("name", &self.shared.emitter)
            .finish_non_exhaustive()
    }
}
