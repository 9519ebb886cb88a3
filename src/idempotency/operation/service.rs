//! [`Operations`]: the service of [`OperationLayer`](super::OperationLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::idempotency::execution::Engine;
use crate::idempotency::operation::run::Run;
use crate::idempotency::operation::{
    Idempotent, OpIdentity, Operation, OperationError, OperationFuture, OutcomeCodec,
};
use crate::idempotency::store::Store;
use crate::idempotency::{Fingerprint, KeyError, RecordKey};
use crate::observe::{IdempotencyResult, Stage};
use crate::rejected::Reason;

/// Runs each request with a key once, and answers repetitions with what came of it. Made by
/// [`OperationLayer`](super::OperationLayer).
pub struct Operations<S, O, C, St> {
    inner: S,
    shared: Arc<Shared<O, C, St>>,
}

/// What all requests of one layer share.
pub(super) struct Shared<O, C, St> {
    pub(super) engine: Arc<Engine<St>>,
    pub(super) operation: O,
    pub(super) codec: C,
    pub(super) secret: Option<Box<[u8]>>,
    pub(super) require_key: bool,
}

/// What the identity of a request says.
enum Intake<E> {
    /// Not the layer's business.
    Pass,
    Refuse(OperationError<E>),
    Protect(RecordKey, Fingerprint),
}

impl<S, O, C, St> Operations<S, O, C, St> {
    pub(super) fn new(inner: S, shared: Arc<Shared<O, C, St>>) -> Self {
        Self { inner, shared }
    }
}

impl<S, O, C, St, Req> Service<Req> for Operations<S, O, C, St>
where
    S: Service<Req> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    Req: Send + 'static,
    O: Operation<Req>,
    C: OutcomeCodec<S::Response, S::Error>,
    St: Store,
{
    type Response = Idempotent<S::Response>;
    type Error = OperationError<S::Error>;
    type Future = OperationFuture<S, Req>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let shared = &self.shared;
        match shared.intake(shared.operation.identify(&request)) {
            Intake::Pass => OperationFuture::passing(self.inner.clone(), request),
            Intake::Refuse(error) => OperationFuture::refused(error),
            Intake::Protect(key, fingerprint) => {
                let run = Run::new(self.inner.clone(), shared.clone(), key, fingerprint);
                match shared.engine.spawn(|caller| run.request(request, caller)) {
                    Some(running) => OperationFuture::running(running),
                    None => OperationFuture::refused(shared.unfit(Reason::Overloaded)),
                }
            }
        }
    }
}

impl<O, C, St: Store> Shared<O, C, St> {
    fn intake<E>(&self, identity: Result<Option<OpIdentity>, KeyError>) -> Intake<E> {
        let identity = match identity {
            Ok(Some(identity)) => identity,
            Ok(None) if self.require_key => return Intake::Refuse(self.unfit(Reason::KeyMissing)),
            Ok(None) => {
                self.engine.note(IdempotencyResult::Bypass);
                return Intake::Pass;
            }
            Err(error) => return Intake::Refuse(self.invalid(error)),
        };
        if identity.has_no_key() {
            return Intake::Refuse(self.invalid(KeyError::Empty));
        }
        if identity.has_no_scope() {
            return Intake::Refuse(self.unfit(Reason::ScopeMissing));
        }
        let secret = self.secret.as_deref();
        let key = identity.record_key(secret, &self.engine.config.namespace);
        Intake::Protect(key, identity.fingerprint(secret))
    }

    fn invalid<E>(&self, error: KeyError) -> OperationError<E> {
        self.engine.refuse(Stage::Arriving, IdempotencyResult::Rejected, Reason::KeyInvalid);
        OperationError::KeyInvalid(error)
    }

    fn unfit<E>(&self, reason: Reason) -> OperationError<E> {
        self.engine.refuse(Stage::Arriving, IdempotencyResult::Rejected, reason).into()
    }
}

impl<S: Clone, O, C, St> Clone for Operations<S, O, C, St> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: self.shared.clone() }
    }
}

impl<S: fmt::Debug, O, C, St> fmt::Debug for Operations<S, O, C, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations")
            .field("inner", &self.inner)
            .field("engine", &self.shared.engine)
            .finish_non_exhaustive()
    }
}
