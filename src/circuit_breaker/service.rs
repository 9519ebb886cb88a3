//! [`CircuitBreaker`]: the service of [`CircuitBreakerLayer`](super::CircuitBreakerLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tower_service::Service;

use crate::admission::Permit;
use crate::circuit_breaker::ResponseFuture;
use crate::circuit_breaker::gate::{Gate, Watch};
use crate::circuit_breaker::shared::Shared;
use crate::classify::{Classify, DefaultClassifier};
use crate::error::Rejectable;
use crate::sync::anchors::Anchors;

/// Stops calling the inner service while it fails.
pub struct CircuitBreaker<S, C = DefaultClassifier> {
    inner: S,
    shared: Arc<Anchors<Shared<C>>>,
    /// `poll_ready` has refused the next call; the inner service was not made ready.
    refused: bool,
    /// While the inner service is not ready, the circuit may open: then it must answer.
    watch: Option<Watch>,
    gate: Option<Box<Gate>>,
}

impl<S, C> CircuitBreaker<S, C> {
    pub(super) fn new(inner: S, shared: Arc<Anchors<Shared<C>>>) -> Self {
        let gate = shared.circuit.is_gate().then(Box::default);
        Self { inner, shared, refused: false, watch: None, gate }
    }

    /// Ready because the next call will be refused, whatever the inner service says.
    #[inline(always)]
    fn refuses_next(&mut self) -> bool {
        (self.refused || !self.shared.circuit.admits_all()) && self.refuses_next_of_some()
    }

    #[cold]
    fn refuses_next_of_some(&mut self) -> bool {
        if !self.refused && !self.shared.circuit.refuses() {
            return false;
        }
        self.watch = None;
        self.refused = true;
        true
    }
}

impl<S, C> CircuitBreaker<S, C> {
    /// Waits for the circuit beside the inner service.
    #[cold]
    fn watch<E>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let circuit = &self.shared.circuit;
        self.watch.get_or_insert_with(|| Watch::new(circuit)).register(cx);
        // Once more: the circuit may have opened before the registration.
        if self.gate.is_none() && self.refuses_next() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl<S, C, Req> Service<Req> for CircuitBreaker<S, C>
where
    S: Service<Req>,
    S::Error: Rejectable,
    C: Classify<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, C>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if let Some(gate) = &mut self.gate {
            ready!(gate.poll_open(&self.shared.circuit, cx));
        } else if self.refuses_next() {
            return Poll::Ready(Ok(()));
        }
        let readiness = self.inner.poll_ready(cx);
        if readiness.is_pending() {
            return self.watch(cx);
        }
        if self.watch.is_some() {
            self.watch = None;
        }
        readiness
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        let circuit = &self.shared.circuit;
        if std::mem::take(&mut self.refused) {
            return ResponseFuture::refused(circuit.refuse_again());
        }
        let reserved = self.gate.as_mut().and_then(|gate| gate.take_reservation());
        let admitted = match reserved.and_then(|ticket| circuit.redeem(ticket)) {
            Some(ticket) => Ok(ticket),
            None => circuit.admit(),
        };
        match admitted {
            Err(rejected) => ResponseFuture::refused(rejected),
            Ok(ticket) => {
                // The permit exists before the inner service is called: a panic in there
                // abandons the call.
                let permit = Permit::new(self.shared.mine().clone(), ticket);
                ResponseFuture::running(self.inner.call(request), permit)
            }
        }
    }
}

impl<S: Clone, C> Clone for CircuitBreaker<S, C> {
    /// Shares the circuit. A refusal or a reservation belongs to the instance that has it.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.shared.clone())
    }
}

impl<S: fmt::Debug, C> fmt::Debug for CircuitBreaker<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("inner", &self.inner)
            .field("circuit", &self.shared.circuit)
            .finish_non_exhaustive()
    }
}
