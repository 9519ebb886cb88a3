//! [`LoadShed`]: the service of [`LoadShedLayer`](super::LoadShedLayer).

use std::fmt;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop::{has_budget_remaining, unconstrained};
use tower_service::Service;

use crate::error::Rejectable;
use crate::load_shed::drive::{Drive, Named, Undriven};
use crate::load_shed::state::{Entry, State};
use crate::load_shed::{FindExempt, Nobody, QueuedFuture, ResponseFuture};
use crate::observe::Stage;
use crate::priority::{FindPriority, NoPriority, Priority};
use crate::time::{self, Instant};

/// Refuses calls that the inner service has no room for.
pub struct LoadShed<S, M = Refuse> {
    inner: S,
    state: Arc<State>,
    mode: M,
    /// The inner service was ready when it was last asked.
    ready: bool,
    /// Of a shadow, which waits for the inner service: since when.
    pending_since: Option<Instant>,
}

/// Calls are refused at once when the inner service is not ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refuse;

/// Calls may wait for the inner service. `D` says whether its readiness is driven on while
/// everybody is refused, `P` finds the priority of a request, and `X` says which are exempt.
pub struct Queue<D = Undriven, P = NoPriority, X = Nobody> {
    pub(super) driver: Named<D>,
    pub(super) priority: Arc<P>,
    pub(super) exempt: Arc<X>,
}

impl<D, P, X> Queue<D, P, X> {
    pub(super) fn new(priority: P, exempt: X) -> Self {
        let (priority, exempt) = (Arc::new(priority), Arc::new(exempt));
        Self { driver: PhantomData, priority, exempt }
    }

    /// The priority of a request, with the exempt among them.
    fn rank<Req>(&self, request: &Req) -> Priority
    where
        P: FindPriority<Req>,
        X: FindExempt<Req>,
    {
        if self.exempt.is_exempt(request) {
            return Priority::EXEMPT;
        }
        self.priority.find_priority(request).unwrap_or_default()
    }
}

impl<D, P, X> Clone for Queue<D, P, X> {
    fn clone(&self) -> Self {
        let (priority, exempt) = (self.priority.clone(), self.exempt.clone());
        Self { driver: self.driver, priority, exempt }
    }
}

impl<D, P, X> fmt::Debug for Queue<D, P, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}

impl<S, M> LoadShed<S, M> {
    pub(super) fn new(inner: S, state: Arc<State>, mode: M) -> Self {
        Self { inner, state, mode, ready: false, pending_since: None }
    }
}

impl<S: Clone, M> LoadShed<S, M> {
    /// Ready whether the inner service is or not; pending only as a shadow, which changes nothing.
    #[inline(always)]
    fn poll_inner<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<Req>,
    {
        let mut readiness = self.inner.poll_ready(cx);
        if readiness.is_pending() && !has_budget_remaining() {
            readiness = self.poll_unconstrained(cx);
        }
        self.ready = readiness.is_ready();
        if self.ready {
            self.state.inner_ready();
            return readiness;
        }
        self.leave()
    }

    /// A caller that has used up its share of tokio's time finds every resource of tokio's pending,
    /// and would be refused by a service that is idle.
    #[cold]
    fn poll_unconstrained<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<Req>,
    {
        let inner = &mut self.inner;
        pin!(unconstrained(std::future::poll_fn(|cx| inner.poll_ready(cx)))).poll(cx)
    }

    #[cold]
    fn leave<E>(&mut self) -> Poll<Result<(), E>> {
        if self.state.is_shadow() {
            self.pending_since.get_or_insert_with(time::now);
            return Poll::Pending;
        }
        self.let_go();
        Poll::Ready(Ok(()))
    }

    /// Whether the call may go on: to the inner service, or to wait for it. A shadow tells what it
    /// would have done, and refuses nobody.
    #[inline(always)]
    fn lets_through(&mut self, priority: Priority, ready: bool) -> bool {
        let admitted = self.state.admits(priority, ready);
        if admitted && self.pending_since.is_none() {
            return true;
        }
        self.tells(admitted, priority)
    }

    #[cold]
    fn tells(&mut self, admitted: bool, priority: Priority) -> bool {
        if !self.state.is_shadow() {
            self.let_go();
            return false;
        }
        let waited = self.pending_since.take().filter(|_| !priority.is_exempt());
        let too_long = waited.is_some_and(|since| self.state.would_wait_too_long(since));
        if too_long || !admitted {
            self.state.would_refuse(too_long);
        }
        true
    }

    /// Leaves the inner service's own queue, or gives its grant back: an instance that nobody polls
    /// would keep it from those who are served.
    fn let_go(&mut self) {
        self.inner = self.inner.clone();
    }
}

impl<S, Req> Service<Req> for LoadShed<S, Refuse>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.poll_inner(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        if !std::mem::take(&mut self.ready) {
            return ResponseFuture::refused(self.state.refuse_unready());
        }
        if !self.lets_through(Priority::default(), true) {
            return ResponseFuture::refused(self.state.refuse());
        }
        // The permit exists before the inner service is called: a panic in there is told.
        let permit = State::admit(&self.state, Stage::Arriving, Duration::ZERO);
        ResponseFuture::running(self.inner.call(request), permit)
    }
}

impl<S, D, P, X, Req> Service<Req> for LoadShed<S, Queue<D, P, X>>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    D: Drive<S, Req>,
    P: FindPriority<Req>,
    X: FindExempt<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = QueuedFuture<S, S::Future, Req, D>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.poll_inner(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        let ready = std::mem::take(&mut self.ready);
        let decides = !ready || self.state.has_gate() || self.pending_since.is_some();
        let priority = if decides { self.mode.rank(&request) } else { Priority::default() };
        if !self.lets_through(priority, ready) {
            return QueuedFuture::refused(self.state.refuse());
        }
        if ready {
            let permit = State::admit(&self.state, Stage::Arriving, Duration::ZERO);
            return QueuedFuture::running(self.inner.call(request), permit);
        }
        match State::wait(&self.state, priority.is_exempt()) {
            Entry::Waiting(place) => QueuedFuture::waiting(place, self.inner.clone(), request),
            Entry::Refused(rejected, duty) => {
                if let Some(duty) = duty {
                    D::drive(self.inner.clone(), duty);
                }
                QueuedFuture::refused(rejected)
            }
        }
    }
}

impl<S: Clone, M: Clone> Clone for LoadShed<S, M> {
    /// Shares the state. A readiness belongs to the instance that has it.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.state.clone(), self.mode.clone())
    }
}

impl<S: fmt::Debug, M> fmt::Debug for LoadShed<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadShed")
            .field("inner", &self.inner)
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}
