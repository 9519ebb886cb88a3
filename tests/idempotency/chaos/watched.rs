//! A store that tells what it was asked, or aborts the process at a point of it.

use std::future::Future;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buttress::idempotency::{
    Abandon, Begin, BeginRequest, Capabilities, Claim, DynStore, Fenced, RecordKey, Snapshot,
    Store, StoreError, StoredOutcome,
};

/// Where a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    AfterBegin,
    InHandler,
    AfterEffect,
    BeforeComplete,
    AfterComplete,
}

impl Point {
    pub(super) const ALL: [Self; 5] = [
        Self::AfterBegin,
        Self::InHandler,
        Self::AfterEffect,
        Self::BeforeComplete,
        Self::AfterComplete,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AfterBegin => "after_begin",
            Self::InHandler => "in_handler",
            Self::AfterEffect => "after_effect",
            Self::BeforeComplete => "before_complete",
            Self::AfterComplete => "after_complete",
        }
    }

    pub(super) fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|point| point.name() == name).unwrap()
    }
}

/// Ends the process without another word, the `passes`th time that it comes by the point.
#[derive(Clone, Debug)]
pub(super) struct Crash {
    at: Option<Point>,
    passes: Arc<AtomicUsize>,
}

impl Crash {
    pub(super) fn never() -> Self {
        Self { at: None, passes: Arc::default() }
    }

    pub(super) fn at(point: Point, passes: usize) -> Self {
        Self { at: Some(point), passes: Arc::new(AtomicUsize::new(passes)) }
    }

    pub(super) fn pass(&self, point: Point) {
        if self.at == Some(point) && self.passes.fetch_sub(1, Ordering::SeqCst) == 1 {
            process::abort();
        }
    }
}

type Hear = dyn Fn(Heard<'_>) + Send + Sync;

/// What was asked, and what came of it.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    Begin(&'a BeginRequest, &'a Result<Begin, StoreError>),
    Complete(&'a Result<Fenced, StoreError>),
    Abandon(&'a Result<Fenced, StoreError>),
}

impl Heard<'_> {
    pub(super) fn failed(&self) -> bool {
        match self {
            Self::Begin(_, answer) => answer.is_err(),
            Self::Complete(answer) | Self::Abandon(answer) => answer.is_err(),
        }
    }
}

/// A store between the layer and the real one.
#[derive(Clone)]
pub(super) struct Watched {
    store: Arc<dyn DynStore>,
    crash: Crash,
    hear: Arc<Hear>,
}

impl Watched {
    pub(super) fn new(store: Arc<dyn DynStore>) -> Self {
        Self { store, crash: Crash::never(), hear: Arc::new(|_| {}) }
    }

    pub(super) fn crashing(mut self, crash: Crash) -> Self {
        self.crash = crash;
        self
    }

    pub(super) fn telling(mut self, hear: impl Fn(Heard<'_>) + Send + Sync + 'static) -> Self {
        self.hear = Arc::new(hear);
        self
    }
}

impl Store for Watched {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        let begun = self.store.begin(request.clone()).await;
        if let Ok(Begin::Acquired(_)) = begun {
            self.crash.pass(Point::AfterBegin);
        }
        (self.hear)(Heard::Begin(&request, &begun));
        begun
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Fenced, StoreError> {
        self.store.renew(claim, lease).await
    }

    async fn mark_effects(&self, claim: &Claim) -> Result<Fenced, StoreError> {
        self.store.mark_effects(claim).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        outcome: StoredOutcome,
        retention: Duration,
    ) -> Result<Fenced, StoreError> {
        self.crash.pass(Point::BeforeComplete);
        let completed = self.store.complete(claim, outcome, retention).await;
        if let Ok(Fenced::Applied) = completed {
            self.crash.pass(Point::AfterComplete);
        }
        (self.hear)(Heard::Complete(&completed));
        completed
    }

    async fn abandon(&self, claim: &Claim, how: Abandon) -> Result<Fenced, StoreError> {
        let abandoned = self.store.abandon(claim, how).await;
        (self.hear)(Heard::Abandon(&abandoned));
        abandoned
    }

    async fn inspect(&self, key: &RecordKey) -> Result<Option<Snapshot>, StoreError> {
        self.store.inspect(key).await
    }

    async fn forget(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.store.forget(key).await
    }

    fn changed(&self, key: &RecordKey) -> impl Future<Output = ()> + Send {
        self.store.changed(key)
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }
}
