//! [`Bulkhead`]: the service of [`BulkheadLayer`](super::BulkheadLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::admission::{self, Entry, Front, Queue, Refuse};
use crate::bulkhead::state::State;
use crate::bulkhead::{FindPartition, QueuedFuture, ResponseFuture, Whole};
use crate::deadline::FindDeadline;
use crate::error::Rejectable;

/// Limits the calls in flight to the inner service.
pub struct Bulkhead<S, M = Refuse, P = Whole> {
    inner: S,
    front: Arc<Front<State, P>>,
    mode: M,
}

impl<S, M, P> Bulkhead<S, M, P> {
    pub(super) fn new(inner: S, front: Arc<Front<State, P>>, mode: M) -> Self {
        Self { inner, front, mode }
    }
}

impl<S, P, Req> Service<Req> for Bulkhead<S, Refuse, P>
where
    S: Service<Req>,
    S::Error: Rejectable,
    P: FindPartition<Req>,
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
        let partition = self.front.find.find_partition(&request);
        match admission::try_enter(&self.front.state, partition) {
            // The permit exists before the inner service is called: a panic in there returns it.
            Ok(permit) => ResponseFuture::running(self.inner.call(request), permit),
            Err(rejected) => ResponseFuture::refused(rejected),
        }
    }
}

impl<S, D, P, Req> Service<Req> for Bulkhead<S, Queue<D>, P>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    D: FindDeadline<Req>,
    P: FindPartition<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = QueuedFuture<S, S::Future, Req>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        let partition = self.front.find.find_partition(&request);
        let deadline = || self.mode.deadline().find_deadline(&request);
        match admission::enter_or_wait(self.front.state.mine(), partition, deadline) {
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

impl<S: Clone, M: Clone, P> Clone for Bulkhead<S, M, P> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.front.clone(), self.mode.clone())
    }
}

impl<S: fmt::Debug, M, P> fmt::Debug for Bulkhead<S, M, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulkhead")
            .field("inner", &self.inner)
            .field("state", &self.front.state)
            .finish_non_exhaustive()
    }
}
