//! The task of one protected request: claim, handler, record.

use std::sync::Arc;

use tower_service::Service;

use crate::classify::Class;
use crate::idempotency::execution::{Called, Caller, Execution, Kept, Opening, Panic, caught};
use crate::idempotency::operation::service::Shared;
use crate::idempotency::operation::{Idempotent, Operation, OperationError, OutcomeCodec};
use crate::idempotency::store::{Store, StoreError, StoredOutcome};
use crate::idempotency::{Disposition, Fingerprint, RecordKey};
use crate::observe::{EventKind, IdempotencyResult, Stage};
use crate::rejected::Reason;

/// What the caller gets.
pub(super) type Answer<Res, Err> = Result<Idempotent<Res>, OperationError<Err>>;

pub(super) struct Run<S, O, C, St> {
    inner: S,
    shared: Arc<Shared<O, C, St>>,
    key: RecordKey,
    fingerprint: Fingerprint,
}

impl<S, O, C, St: Store> Run<S, O, C, St> {
    pub(super) fn new(
        inner: S,
        shared: Arc<Shared<O, C, St>>,
        key: RecordKey,
        fingerprint: Fingerprint,
    ) -> Self {
        Self { inner, shared, key, fingerprint }
    }

    pub(super) async fn request<Req>(
        mut self,
        mut request: Req,
        caller: Arc<Caller<Answer<S::Response, S::Error>>>,
    ) -> Result<Answer<S::Response, S::Error>, Panic>
    where
        S: Service<Req>,
        O: Operation<Req>,
        C: OutcomeCodec<S::Response, S::Error>,
    {
        let shared = &*self.shared;
        // How long the outcome will be is not known; the store makes room for it, or keeps that
        // there was one.
        let execution = match shared.engine.open(self.key, self.fingerprint, 0, &caller).await {
            Opening::Run(execution) => execution,
            Opening::Ended(outcome, stage) => return Ok(shared.replay(outcome, stage)),
            Opening::Refused(refusal) => return Ok(Err(refusal.into())),
            Opening::Unprotected => {
                let handler = caller.call(&mut self.inner, request);
                return Ok(unkept(caught(handler).await?));
            }
        };
        shared.operation.attach(&mut request, execution.context());
        let handler = caller.call(&mut self.inner, request);
        match execution.drive(caught(handler)).await {
            Ok(Called::Ran(outcome)) => shared.record(execution, outcome).await,
            Ok(Called::Dropped) => {
                drop(execution);
                Ok(unkept(Called::Dropped))
            }
            Ok(not_sent) => {
                execution.return_unused().await;
                Ok(unkept(not_sent))
            }
            Err(panic) => {
                execution.release(Class::Transient).await;
                Err(panic)
            }
        }
    }
}

/// What there is to say where no outcome is kept.
fn unkept<Res, Err>(called: Called<Res, Err>) -> Answer<Res, Err> {
    match called {
        Called::Ran(outcome) => own(outcome),
        Called::NotReady(error) => Err(OperationError::Inner(error)),
        // For nobody.
        Called::Left | Called::Dropped => Err(OperationError::OutcomeUnknown),
    }
}

/// The service's own outcome.
fn own<Res, Err>(outcome: Result<Res, Err>) -> Answer<Res, Err> {
    outcome.map(Idempotent::fresh).map_err(OperationError::Inner)
}

/// The tags of outcomes.
const SUCCEEDED: u16 = 0;
const FAILED: u16 = 1;

impl<O, C, St: Store> Shared<O, C, St> {
    /// Makes what came of the request the answer to all of its repetitions, before its own caller
    /// sees it.
    async fn record<Res, Err>(
        &self,
        execution: Execution<St>,
        outcome: Result<Res, Err>,
    ) -> Result<Answer<Res, Err>, Panic>
    where
        C: OutcomeCodec<Res, Err>,
    {
        let (tag, class) = match outcome {
            Ok(_) => (SUCCEEDED, Class::Success),
            Err(_) => (FAILED, Class::Transient),
        };
        // Moved in and out, so that it need not be `Sync`.
        let judged = caught(async move { (self.judge(tag, &outcome), outcome) }).await;
        let (stored, judged) = match judged {
            Ok((Verdict::Keep(stored), outcome)) => (stored, Ok(outcome)),
            Ok((Verdict::Release, outcome)) => {
                execution.release(class).await;
                return Ok(own(outcome));
            }
            Ok((Verdict::GiveUp, outcome)) => {
                execution.give_up(class).await;
                return Ok(own(outcome));
            }
            // The service has answered: whatever is wrong with the codec, it must not run again.
            Err(panic) => (StoredOutcome::tombstone(tag), Err(panic)),
        };
        let kept = execution.complete(stored, class).await;
        let outcome = judged?;
        Ok(match kept {
            Kept::Own => own(outcome),
            Kept::Canonical(stored) => self.replay(stored, Stage::InFlight),
            Kept::Refused(refusal) => Err(refusal.into()),
        })
    }

    fn judge<Res, Err>(&self, tag: u16, outcome: &Result<Res, Err>) -> Verdict
    where
        C: OutcomeCodec<Res, Err>,
    {
        match self.codec.classify(outcome) {
            Disposition::Store => Verdict::Keep(match self.codec.encode(outcome) {
                Ok(bytes) => StoredOutcome::new(tag, bytes),
                Err(_unwritable) => StoredOutcome::tombstone(tag),
            }),
            Disposition::Tombstone => Verdict::Keep(StoredOutcome::tombstone(tag)),
            Disposition::Release => Verdict::Release,
            Disposition::Indeterminate => Verdict::GiveUp,
        }
    }

    /// The outcome of an earlier request.
    pub(super) fn replay<Res, Err>(&self, stored: StoredOutcome, stage: Stage) -> Answer<Res, Err>
    where
        C: OutcomeCodec<Res, Err>,
    {
        let decoded = match stored {
            StoredOutcome { format: StoredOutcome::FORMAT, payload: Some(payload), .. } => {
                self.codec.decode(payload).map_err(StoreError::Corrupt)
            }
            StoredOutcome { format, .. } => Err(StoreError::UnsupportedFormat(format)),
        };
        match decoded {
            Ok(outcome) => {
                let replayed = EventKind::Idempotency(IdempotencyResult::Replayed);
                self.engine.emitter.emit(stage, replayed);
                outcome.map(Idempotent::replay).map_err(OperationError::Inner)
            }
            // Not to be read, perhaps by this version: running the request again is no answer.
            Err(error) => {
                self.engine.emitter.store_failed(&error);
                self.engine.refuse(stage, IdempotencyResult::StoreError, Reason::StoreUnavailable);
                Err(OperationError::Store(error))
            }
        }
    }
}

/// What becomes of the record.
enum Verdict {
    Keep(StoredOutcome),
    Release,
    GiveUp,
}
