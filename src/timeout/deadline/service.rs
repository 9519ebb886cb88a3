//! [`Deadlined`]: the service of [`DeadlineLayer`](super::DeadlineLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_service::Service;

use crate::deadline::{Carrier, Deadline};
use crate::error::Rejectable;
use crate::rejected::{Reason, Rejected};
use crate::sync::anchors::Anchors;
use crate::time::{self, Instant};
use crate::timeout::ResponseFuture;
use crate::timeout::state::{Bound, Shared};
use crate::timeout::wire::Wire;

/// Holds the calls to the inner service to the deadlines of their requests. Made by
/// [`DeadlineLayer`](super::DeadlineLayer).
pub struct Deadlined<S> {
    inner: S,
    shared: Arc<Anchors<Shared>>,
    wire: Arc<Wire>,
    at_most: Option<Duration>,
}

impl<S> Deadlined<S> {
    pub(super) fn new(
        inner: S,
        shared: Arc<Anchors<Shared>>,
        wire: Arc<Wire>,
        at_most: Option<Duration>,
    ) -> Self {
        Self { inner, shared, wire, at_most }
    }

    /// Finds out how long this call may take, and says so in its request.
    fn arrive(&self, request: &mut impl Carrier) -> Result<Arrived, Rejected> {
        let said = self.wire.read(request, &self.shared.emitter);
        let wait = said.into_iter().chain(self.at_most).min();
        let found = request.extension::<Deadline>().copied();
        // Without any deadline the clock is not read.
        let now = (wait.is_some() || found.is_some()).then(time::now);
        let own = now.zip(wait).map(|(now, wait)| Deadline::at(time::later(now, wait)));
        let deadline = own.into_iter().chain(found).min();
        if let (Some(deadline), Some(now)) = (deadline, now) {
            if deadline.instant() <= now {
                if !self.shared.shadow {
                    return Err(self.shared.refuse(Reason::DeadlineExceeded));
                }
                self.shared.would_refuse(Reason::DeadlineExceeded);
                return Ok(Arrived { deadline: None, now: Some(now) });
            }
            if found != Some(deadline) && !self.shared.shadow {
                request.insert_extension(deadline);
            }
        }
        Ok(Arrived { deadline, now })
    }
}

/// A request that came in time.
struct Arrived {
    deadline: Option<Deadline>,
    /// When it came, where the clock was read.
    now: Option<Instant>,
}

impl<S, Req> Service<Req> for Deadlined<S>
where
    S: Service<Req>,
    S::Error: Rejectable,
    Req: Carrier,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        match self.arrive(&mut request) {
            Err(rejected) => ResponseFuture::refused(rejected),
            Ok(Arrived { deadline, now }) => {
                let permit = Shared::admit(&self.shared, now);
                ResponseFuture::running(self.inner.call(request), Bound::by(deadline), permit)
            }
        }
    }
}

impl<S: Clone> Clone for Deadlined<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.shared.clone(), self.wire.clone(), self.at_most)
    }
}

impl<S: fmt::Debug> fmt::Debug for Deadlined<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadlined")
            .field("inner", &self.inner)
            .field("at_most", &self.at_most)
            .finish_non_exhaustive()
    }
}
