//! [`Engine`]: what all requests of one layer share, and how one of them gets its claim.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Timeout;

use crate::idempotency::execution::task::{self, Tracker};
use crate::idempotency::execution::waiting::Waiters;
use crate::idempotency::execution::{
    Caller, Concurrent, Config, Execution, Handle, OnStoreError, Panic, Running, caught,
};
use crate::idempotency::store::{Abandon, Begin, BeginRequest, Store, StoreError, StoredOutcome};
use crate::idempotency::{Claim, Fingerprint, OwnerId, RecordKey};
use crate::observe::{Emitter, EventKind, IdempotencyResult, Stage, StoreCall, in_current_span};
use crate::rejected::{Reason, Rejected};
use crate::rng::Rng;
use crate::sync::{Mutex, lock};
use crate::time::{self, Instant};

/// How often one operation is asked of a store that does not answer.
const TRIES: u32 = 3;

pub(crate) struct Engine<St> {
    pub(super) store: St,
    pub(crate) config: Config,
    pub(crate) emitter: Emitter,
    pub(super) tracker: Arc<Tracker>,
    pub(super) waiters: Waiters,
    rng: Mutex<Rng>,
}

/// What [`Engine::open`] found.
pub(crate) enum Opening<St: Store> {
    /// The request is to be run.
    Run(Execution<St>),
    /// It is to be run without protection, since the store cannot be reached.
    Unprotected,
    /// It has run: this came of it. Asked in this stage.
    Ended(StoredOutcome, Stage),
    /// It is not to be run.
    Refused(Refusal),
}

/// Why a request is answered by the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) retry_after: Option<Duration>,
    /// Of the answer that was not kept.
    pub(crate) tag: Option<u16>,
    /// Whether the handler may have seen a request with this key.
    pub(crate) dispatched: bool,
}

impl Refusal {
    pub(crate) fn new(reason: Reason) -> Self {
        let dispatched = matches!(
            reason,
            Reason::InProgress | Reason::OutcomeUnknown | Reason::ResultUnavailable
        );
        let retry_after = matches!(
            reason,
            Reason::InProgress | Reason::StoreUnavailable | Reason::StoreFull | Reason::Overloaded
        )
        .then_some(Duration::from_secs(1));
        Self { reason, retry_after, tag: None, dispatched }
    }

    pub(crate) fn rejected(self) -> Rejected {
        let rejected = Rejected::new(self.reason).dispatched(self.dispatched);
        self.retry_after.into_iter().fold(rejected, Rejected::after)
    }
}

impl<St: Store> Engine<St> {
    pub(crate) fn new(store: St, config: Config, emitter: Emitter, seed: Option<u64>) -> Self {
        let capabilities = store.capabilities();
        if !capabilities.shared && !capabilities.single_instance {
            emitter.unshared_store();
        }
        let tracker = Arc::new(Tracker::new(config.max_in_flight));
        let (waiters, rng) = (Waiters::default(), Mutex::new(Rng::new(seed)));
        Self { store, config, emitter, tracker, waiters, rng }
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle::new(self.tracker.clone())
    }

    /// Runs `work` in a task of its own, in the caller's span, to its end even if the caller
    /// leaves. `None` where the layer has no room for it.
    pub(crate) fn spawn<T, W, F>(self: &Arc<Self>, work: W) -> Option<Running<T>>
    where
        T: Send + 'static,
        W: FnOnce(Arc<Caller<T>>) -> F + Send + 'static,
        F: Future<Output = Result<T, Panic>> + Send,
    {
        let tracked = self.tracker.enter()?;
        let (caller, running) = task::caller(self.config.on_cancel);
        let caller = Arc::new(caller);
        let engine = self.clone();
        tokio::spawn(in_current_span(async move {
            // Also those of the users' closures outside of the handler.
            let answer = caught(work(caller.clone())).await.and_then(|answer| answer);
            let caller = Arc::into_inner(caller);
            // Before the caller hears of it, so that whoever has its answer finds the layer idle.
            drop(tracked);
            if caller.is_some_and(|caller| caller.answer(answer)) {
                engine.note(IdempotencyResult::DetachedFinish);
            }
        }));
        Some(running)
    }

    /// Asks the store for the right to run, and waits for another that runs where that is the rule.
    pub(crate) async fn open<T>(
        self: &Arc<Self>,
        key: RecordKey,
        fingerprint: Fingerprint,
        reserve_bytes: usize,
        caller: &Caller<T>,
    ) -> Opening<St> {
        let config = &self.config;
        let owner = OwnerId::random();
        let mut request =
            BeginRequest::new(key, fingerprint, owner, config.lease, config.retention);
        request.max_attempts = config.max_attempts;
        request.on_lease_expiry = config.on_lease_expiry;
        request.reserve_bytes = reserve_bytes;

        let begun = self.begin(&request).await;
        if let (Ok(Begin::InProgress { .. }), Concurrent::Wait { timeout, max_waiters }) =
            (&begun, config.on_concurrent)
            && let Some(place) = self.waiters.enter(key, max_waiters)
        {
            // Boxed: it is rare, and larger than the rest.
            return Box::pin(self.wait(place, request, timeout, caller)).await;
        }
        self.opened(begun, request, Stage::Arriving, Duration::ZERO)
    }

    /// What the store's answer means, to a request that has waited so long for another.
    pub(super) fn opened(
        self: &Arc<Self>,
        begun: Result<Begin, StoreError>,
        request: BeginRequest,
        stage: Stage,
        waited: Duration,
    ) -> Opening<St> {
        use IdempotencyResult as Done;
        let (result, reason) = match begun {
            Ok(Begin::Acquired(claim)) => {
                if claim.attempt > 1 {
                    self.note(Done::Takeover);
                }
                self.emitter.emit(stage, EventKind::Admitted { waited });
                return Opening::Run(Execution::new(self.clone(), request, claim));
            }
            Ok(Begin::Completed(outcome)) if outcome.payload.is_some() => {
                return Opening::Ended(outcome, stage);
            }
            Ok(Begin::Completed(outcome)) => {
                let refusal = self.refuse(stage, Done::Tombstone, Reason::ResultUnavailable);
                return Opening::Refused(Refusal { tag: Some(outcome.tag), ..refusal });
            }
            Ok(Begin::InProgress { .. }) => (Done::InProgress, Reason::InProgress),
            Ok(Begin::Indeterminate) => (Done::Indeterminate, Reason::OutcomeUnknown),
            Ok(Begin::Mismatch) => (Done::Mismatch, Reason::FingerprintMismatch),
            Err(StoreError::Full) => (Done::StoreError, Reason::StoreFull),
            Err(error) if error.is_transient() => {
                self.give_back(request);
                // Who has waited knows that another runs.
                let is_open = self.config.on_store_error == OnStoreError::FailOpen;
                if is_open && stage == Stage::Arriving {
                    self.note(Done::StoreError);
                    self.emitter.emit(stage, EventKind::Idempotency(Done::Bypass));
                    return Opening::Unprotected;
                }
                (Done::StoreError, Reason::StoreUnavailable)
            }
            // Whatever it is, running the request again is not the answer.
            Err(_) => (Done::StoreError, Reason::StoreUnavailable),
        };
        Opening::Refused(self.refuse(stage, result, reason))
    }

    /// A refusal, told to the observers.
    pub(crate) fn refuse(
        &self,
        stage: Stage,
        result: IdempotencyResult,
        reason: Reason,
    ) -> Refusal {
        self.note(result);
        self.emitter.emit(stage, EventKind::Rejected(reason));
        self.refusal(reason)
    }

    /// A refusal with the hint that belongs to it.
    pub(super) fn refusal(&self, reason: Reason) -> Refusal {
        let mut refusal = Refusal::new(reason);
        if let (Reason::InProgress, Concurrent::Reject { retry_after }) =
            (reason, self.config.on_concurrent)
        {
            refusal.retry_after = Some(Duration::from_secs(retry_after));
        }
        refusal
    }

    pub(crate) fn note(&self, result: IdempotencyResult) {
        self.emitter.emit(Stage::Arriving, EventKind::Idempotency(result));
    }

    /// A `begin` that got no answer may have been applied. Its claim would turn every further
    /// attempt away until the lease is over: it is asked for again, and given back.
    fn give_back(self: &Arc<Self>, request: BeginRequest) {
        let until = time::later(time::now(), self.config.lease);
        self.in_background(async move |engine| {
            while time::now() < until {
                engine.pause(SETTLING).await;
                match engine.bounded(engine.store.begin(request.clone())).await {
                    Ok(Begin::Acquired(claim)) => return engine.return_unused(&claim).await,
                    Ok(_) => return,
                    Err(_unanswered) => {}
                }
            }
        });
    }

    /// Gives back a claim under which nothing has run.
    pub(super) async fn return_unused(&self, claim: &Claim) {
        // What an earlier execution has done under this key is not known: its record must stay, and
        // this claim ends by its lease.
        let returned = if claim.attempt > 1 {
            self.repeated(|| self.store.renew(claim, Duration::ZERO)).await
        } else {
            self.repeated(|| self.store.abandon(claim, Abandon::Release)).await
        };
        // Not returned, it ends by its lease as well.
        drop(returned);
    }

    pub(super) async fn begin(&self, request: &BeginRequest) -> Result<Begin, StoreError> {
        let since = self.since();
        let begun = self.repeated(|| self.store.begin(request.clone())).await;
        self.called(StoreCall::Begin, since);
        begun
    }

    /// Asks the store until it answers, a few times at most. What is asked must come to the same
    /// however often it is applied.
    pub(super) async fn repeated<T, F>(&self, mut ask: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut tries = 1;
        loop {
            match self.bounded(ask()).await {
                Err(error) if error.is_transient() && tries < TRIES => tries += 1,
                answer => return answer,
            }
            self.pause(BETWEEN_TRIES).await;
        }
    }

    /// One call to the store, for as long as it may take.
    pub(super) fn bounded<T, F>(&self, call: F) -> Bounded<'_, F>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let limit = self.config.store_timeout;
        Bounded { call: tokio::time::timeout(limit, call), limit, emitter: &self.emitter }
    }

    /// The time, where somebody wants to know how long the store takes.
    pub(super) fn since(&self) -> Option<Instant> {
        self.emitter.is_on().then(time::now)
    }

    pub(super) fn called(&self, call: StoreCall, since: Option<Instant>) {
        if let Some(since) = since {
            let latency = time::now().saturating_duration_since(since);
            self.emitter.emit(Stage::Arriving, EventKind::StoreCalled { call, latency });
        }
    }

    /// Waits for a random time around this long, so that those who failed together do not come
    /// back together.
    pub(super) async fn pause(&self, about: Duration) {
        let wait = lock(&self.rng).between(about / 2, about + about / 2);
        time::sleep_until(time::later(time::now(), wait)).await;
    }

    /// Puts something right that no caller waits for.
    pub(super) fn in_background<F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send,
    {
        // Without a runtime, as in its shutdown, the lease is what ends the claim.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (tracked, engine) = (self.tracker.background(), self.clone());
        runtime.spawn(in_current_span(async move {
            work(engine).await;
            drop(tracked);
        }));
    }
}

pin_project! {
    pub(super) struct Bounded<'a, F> {
        #[pin]
        call: Timeout<F>,
        limit: Duration,
        emitter: &'a Emitter,
    }
}

impl<T, F: Future<Output = Result<T, StoreError>>> Future for Bounded<'_, F> {
    type Output = Result<T, StoreError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.call.poll(cx)).unwrap_or(Err(StoreError::Timeout(*this.limit)));
        if let Err(error) = &answer {
            this.emitter.store_failed(error);
        }
        Poll::Ready(answer)
    }
}

/// Between two calls of one operation.
const BETWEEN_TRIES: Duration = Duration::from_millis(30);
/// Between two attempts at something that no caller waits for.
pub(super) const SETTLING: Duration = Duration::from_secs(1);

impl<St> fmt::Debug for Engine<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("config", &self.config)
            .field("tracker", &self.tracker)
            .finish_non_exhaustive()
    }
}
