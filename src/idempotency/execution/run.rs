//! [`Execution`]: a request that runs under a claim, and how it ends.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::thread;

use crate::classify::Class;
use crate::idempotency::Claim;
use crate::idempotency::execution::engine::{Engine, SETTLING};
use crate::idempotency::execution::heartbeat::{beside, heartbeat};
use crate::idempotency::execution::held::{Grip, Held, Marks};
use crate::idempotency::execution::{Context, Refusal};
use crate::idempotency::store::{Abandon, BeginRequest, Fenced, Store, StoreError, StoredOutcome};
use crate::observe::{EventKind, IdempotencyResult, Stage, StoreCall, in_span_of_claim};
use crate::time::{self, Instant};

/// The right to run one request. Dropped before its end, it gives the claim up in the background.
pub(crate) struct Execution<St: Store> {
    held: Arc<Held<St>>,
    /// Where somebody wants to know how long it takes.
    since: Option<Instant>,
    open: bool,
}

/// What came of keeping an outcome.
pub(crate) enum Kept {
    /// The answer is the execution's own.
    Own,
    /// Another execution had taken over, and has ended: its answer is the one for everybody.
    Canonical(StoredOutcome),
    /// Another execution had taken over, and its answer is not known.
    Refused(Refusal),
}

impl<St: Store> Execution<St> {
    pub(super) fn new(engine: Arc<Engine<St>>, request: BeginRequest, claim: Claim) -> Self {
        let since = engine.since();
        let held = Held { engine, request, claim, marks: Marks::default() };
        Self { held: Arc::new(held), since, open: true }
    }

    /// What the handler is told.
    pub(crate) fn context(&self) -> Context {
        let grip: Arc<dyn Grip> = self.held.clone();
        Context::new(grip)
    }

    /// Drives the handler to its end, and renews the claim meanwhile.
    pub(crate) fn drive<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        self.held.marks.is_sent();
        let Claim { key, attempt, fence, .. } = &self.held.claim;
        let work = beside(work, heartbeat(&self.held));
        in_span_of_claim(key.prefix(), *attempt, fence.get(), work)
    }

    /// Gives back a claim under which nothing has run.
    pub(crate) async fn return_unused(mut self) {
        self.open = false;
        let engine = &self.held.engine;
        engine.emitter.emit(Stage::InFlight, EventKind::Abandoned);
        engine.note(IdempotencyResult::Released);
        engine.return_unused(&self.held.claim).await;
    }

    /// Keeps the outcome as the answer to every request with this key.
    pub(crate) async fn complete(mut self, mut outcome: StoredOutcome, class: Class) -> Kept {
        let (held, engine) = (self.held.clone(), &self.held.engine);
        let since = engine.since();
        let completed = held.complete(&mut outcome).await;
        engine.called(StoreCall::Complete, since);
        let kept = match completed {
            Ok(Fenced::Applied) => {
                engine.note(of(&outcome));
                Kept::Own
            }
            Ok(Fenced::Lost) if cfg!(mutant = "lost-claim-answers-itself") => Kept::Own,
            Ok(Fenced::Lost) => {
                held.fenced();
                // Boxed: it is rare, and has room for two calls to the store.
                Box::pin(held.canonical(outcome)).await
            }
            Err(_) => {
                engine.note(IdempotencyResult::StoreError);
                held.clone().complete_later(outcome);
                Kept::Own
            }
        };
        self.settled(class);
        kept
    }

    /// The handler has kept the outcome itself.
    #[allow(dead_code, reason = "of the layer for HTTP")]
    pub(crate) fn already_recorded(mut self, class: Class) {
        self.held.engine.note(IdempotencyResult::Executed);
        self.settled(class);
    }

    /// The outcome is not final: the next request with this key runs, unless effects had begun.
    pub(crate) async fn release(mut self, class: Class) {
        let how = self.held.marks.after_failure();
        self.held.abandon(how).await;
        self.settled(class);
    }

    /// Nobody knows what the request has done.
    pub(crate) async fn give_up(mut self, class: Class) {
        self.held.abandon(Abandon::Indeterminate).await;
        self.settled(class);
    }

    fn settled(&mut self, class: Class) {
        self.open = false;
        if let Some(since) = self.since {
            self.held.engine.emitter.settled(since, class);
        }
    }
}

/// What the store has been told, in the words of the observers.
pub(super) fn of(outcome: &StoredOutcome) -> IdempotencyResult {
    match outcome.payload {
        Some(_) => IdempotencyResult::Executed,
        None => IdempotencyResult::Tombstone,
    }
}

impl<St: Store> Drop for Execution<St> {
    fn drop(&mut self) {
        if !self.open || cfg!(mutant = "dropped-execution-keeps-its-claim") {
            return;
        }
        let held = self.held.clone();
        // Panics of the handler are caught further in. After it has run, this is one of what judges
        // and encodes its outcome.
        let how = if thread::panicking() && self.held.marks.was_sent() {
            Abandon::Indeterminate
        } else {
            self.held.marks.after_failure()
        };
        held.engine.emitter.emit(Stage::InFlight, EventKind::Abandoned);
        self.held.engine.in_background(async move |_| held.abandon(how).await);
    }
}

impl<St: Store> Held<St> {
    /// Once, and a second time as a tombstone where the answer is more than the store takes: the
    /// outcome is what was kept.
    pub(super) async fn complete(&self, outcome: &mut StoredOutcome) -> Result<Fenced, StoreError> {
        let engine = &self.engine;
        let retention = engine.config.retention;
        let complete =
            |outcome| engine.bounded(engine.store.complete(&self.claim, outcome, retention));
        match complete(outcome.clone()).await {
            Err(StoreError::TooLarge { .. } | StoreError::Full) => {
                *outcome = StoredOutcome::tombstone(outcome.tag);
                complete(outcome.clone()).await
            }
            completed => completed,
        }
    }

    /// The claim is found to be lost: told once, however often that is found.
    pub(super) fn fenced(&self) {
        if self.marks.is_first_to_be_fenced() {
            self.engine.note(IdempotencyResult::Fenced);
        }
        self.marks.lost.cancel();
    }

    /// The caller has its answer. The record gets it as soon as the store answers, unless somebody
    /// has taken over by then.
    pub(super) fn complete_later(self: Arc<Self>, mut outcome: StoredOutcome) {
        let until = time::later(time::now(), self.engine.config.max_execution);
        let held = self.clone();
        self.engine.in_background(async move |engine| {
            while time::now() < until {
                engine.pause(SETTLING.min(engine.config.lease / 3)).await;
                match held.complete(&mut outcome).await {
                    Ok(Fenced::Applied) => return engine.note(of(&outcome)),
                    Ok(Fenced::Lost) => return held.fenced(),
                    // A store may still take what is short.
                    Err(_) => {
                        let lease = engine.config.lease;
                        let renewed = engine.bounded(engine.store.renew(&held.claim, lease)).await;
                        drop(renewed);
                    }
                }
            }
        });
    }

    /// Gives the claim up; in the background, where the store does not answer.
    async fn abandon(self: &Arc<Self>, how: Abandon) {
        let engine = &self.engine;
        let abandoned = engine.bounded(engine.store.abandon(&self.claim, how)).await;
        match (&abandoned, how) {
            (Ok(Fenced::Lost), _) => self.fenced(),
            (_, Abandon::Release) => engine.note(IdempotencyResult::Released),
            (_, Abandon::Indeterminate) => engine.note(IdempotencyResult::Indeterminate),
        }
        if abandoned.is_ok() {
            return;
        }
        engine.note(IdempotencyResult::StoreError);
        // Until the lease is over, which ends the claim by itself; but one that must not run again
        // has to be said so.
        let until = time::later(time::now(), engine.config.max_execution);
        let held = self.clone();
        engine.in_background(async move |engine| {
            while time::now() < until {
                engine.pause(SETTLING.min(engine.config.lease / 3)).await;
                if engine.bounded(engine.store.abandon(&held.claim, how)).await.is_ok() {
                    return;
                }
            }
        });
    }
}

impl<St: Store> fmt::Debug for Execution<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Execution({:?})", self.held.claim)
    }
}
