//! [`PropagateDeadline`]: the service of
//! [`PropagateDeadlineLayer`](super::PropagateDeadlineLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_service::Service;

use crate::deadline::{Carrier, FindDeadline, FromRequest};
use crate::error::Rejectable;
use crate::rejected::{Reason, Rejected};
use crate::sync::anchors::Anchors;
use crate::time::{self, Instant};
use crate::timeout::PropagateDeadlineFuture;
use crate::timeout::state::Shared;
use crate::timeout::wire::Wire;

/// Tells the service further on how much time is left. Made by
/// [`PropagateDeadlineLayer`](super::PropagateDeadlineLayer).
pub struct PropagateDeadline<S, D = FromRequest> {
    inner: S,
    shared: Arc<Anchors<Shared>>,
    terms: Arc<Terms<D>>,
}

/// What is said to whom.
pub(super) struct Terms<D> {
    pub(super) wire: Arc<Wire>,
    pub(super) margin: Duration,
    pub(super) deadline: D,
}

impl<S, D> PropagateDeadline<S, D> {
    pub(super) fn new(inner: S, shared: Arc<Anchors<Shared>>, terms: Arc<Terms<D>>) -> Self {
        Self { inner, shared, terms }
    }

    /// Writes the time left into the request; gives the time, where the clock was read for it.
    fn set_out<Req>(&self, request: &mut Req) -> Result<Option<Instant>, Rejected>
    where
        Req: Carrier,
        D: FindDeadline<Req>,
    {
        let Terms { wire, margin, deadline } = &*self.terms;
        let Some(deadline) = deadline.find_deadline(request) else { return Ok(None) };
        let now = time::now();
        let left = deadline.remaining_at(now).saturating_sub(*margin);
        let Some(written) = wire.written(left) else {
            if !self.shared.shadow {
                return Err(self.shared.refuse(Reason::DeadlineExceeded));
            }
            self.shared.would_refuse(Reason::DeadlineExceeded);
            return Ok(Some(now));
        };
        let said = wire.read(request, &self.shared.emitter);
        if said.is_none_or(|said| said > left) && !self.shared.shadow {
            wire.write(request, written);
        }
        Ok(Some(now))
    }
}

impl<S, D, Req> Service<Req> for PropagateDeadline<S, D>
where
    S: Service<Req>,
    S::Error: Rejectable,
    D: FindDeadline<Req>,
    Req: Carrier,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = PropagateDeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        match self.set_out(&mut request) {
            Err(rejected) => PropagateDeadlineFuture::refused(rejected),
            Ok(now) => {
                let permit = Shared::admit(&self.shared, now);
                PropagateDeadlineFuture::running(self.inner.call(request), permit)
            }
        }
    }
}

impl<S: Clone, D> Clone for PropagateDeadline<S, D> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.shared.clone(), self.terms.clone())
    }
}

impl<S: fmt::Debug, D> fmt::Debug for PropagateDeadline<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PropagateDeadline")
            .field("inner", &self.inner)
            .field("margin", &self.terms.margin)
            .finish_non_exhaustive()
    }
}
