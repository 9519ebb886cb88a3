//! [`FaultyStore`]: a store that fails as it is told to.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, pending};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::idempotency::{
    Abandon, Begin, BeginRequest, Capabilities, Claim, Fenced, Fingerprint, RecordKey, Snapshot,
    Store, StoreError, StoredOutcome,
};

/// What is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Begin,
    Renew,
    MarkEffects,
    Complete,
    Abandon,
}

/// What happens to one operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is as if nothing were wrong.
    None,
    /// It does not get there.
    Refused,
    /// It is applied, and the answer is lost.
    ReplyLost,
    /// It takes this long to get there.
    Delayed(Duration),
    /// It never gets there.
    Hangs,
    /// It is applied, and the answer never comes.
    ReplyHangs,
    /// The store has no room.
    Full,
    /// The store takes no payload that long.
    TooLarge,
    /// The store is not what it should be.
    Misconfigured,
}

/// What no response, event or log may show.
pub(crate) const ERROR_TEXT: &str = "SECRETSTORE";

/// Any store, with faults in front of it. Clones share the script.
#[derive(Clone, Debug)]
pub(crate) struct FaultyStore<S> {
    pub(crate) inner: S,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    once: HashMap<Op, VecDeque<Fault>>,
    always: HashMap<Op, Fault>,
    calls: Vec<(Op, Option<u32>)>,
    last: Option<(RecordKey, Fingerprint)>,
}

impl<S> FaultyStore<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, script: Arc::default() }
    }

    /// The next operations of this kind, in this order.
    pub(crate) fn then(&self, op: Op, faults: impl IntoIterator<Item = Fault>) {
        self.script.lock().unwrap().once.entry(op).or_default().extend(faults);
    }

    /// Every operation of this kind from now on, after those that [`then`](Self::then) names.
    pub(crate) fn always(&self, op: Op, fault: Fault) {
        self.script.lock().unwrap().always.insert(op, fault);
    }

    /// Every operation.
    pub(crate) fn is_down(&self, down: bool) {
        for op in [Op::Begin, Op::Renew, Op::MarkEffects, Op::Complete, Op::Abandon] {
            self.always(op, if down { Fault::Refused } else { Fault::None });
        }
    }

    pub(crate) fn calls(&self, op: Op) -> usize {
        self.script.lock().unwrap().calls.iter().filter(|(called, _)| *called == op).count()
    }

    /// The record that was asked for last.
    pub(crate) fn last_key(&self) -> RecordKey {
        self.last().0
    }

    /// What it was asked for.
    pub(crate) fn last_fingerprint(&self) -> Fingerprint {
        self.last().1
    }

    fn last(&self) -> (RecordKey, Fingerprint) {
        self.script.lock().unwrap().last.expect("a begin")
    }

    fn next(&self, op: Op, attempt: Option<u32>) -> Fault {
        let mut script = self.script.lock().unwrap();
        script.calls.push((op, attempt));
        let next = script.once.get_mut(&op).and_then(VecDeque::pop_front);
        next.or_else(|| script.always.get(&op).copied()).unwrap_or(Fault::None)
    }

    async fn perform<T: Send>(
        &self,
        fault: Fault,
        apply: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let unavailable = || StoreError::Unavailable(ERROR_TEXT.into());
        match fault {
            Fault::None => apply.await,
            Fault::Refused => Err(unavailable()),
            Fault::ReplyLost => {
                drop(apply.await);
                Err(unavailable())
            }
            Fault::Delayed(delay) => {
                tokio::time::sleep(delay).await;
                apply.await
            }
            Fault::Hangs => pending().await,
            Fault::ReplyHangs => {
                drop(apply.await);
                pending().await
            }
            Fault::Full => Err(StoreError::Full),
            Fault::TooLarge => Err(StoreError::TooLarge { size: 2, max: 1 }),
            Fault::Misconfigured => Err(StoreError::Misconfigured(ERROR_TEXT.into())),
        }
    }
}

impl<S: Store> Store for FaultyStore<S> {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        let fault = self.next(Op::Begin, None);
        self.script.lock().unwrap().last = Some((request.key, request.fingerprint));
        self.perform(fault, self.inner.begin(request)).await
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Fenced, StoreError> {
        let fault = self.next(Op::Renew, Some(claim.attempt));
        self.perform(fault, self.inner.renew(claim, lease)).await
    }

    async fn mark_effects(&self, claim: &Claim) -> Result<Fenced, StoreError> {
        let fault = self.next(Op::MarkEffects, Some(claim.attempt));
        self.perform(fault, self.inner.mark_effects(claim)).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        outcome: StoredOutcome,
        retention: Duration,
    ) -> Result<Fenced, StoreError> {
        let fault = match self.next(Op::Complete, Some(claim.attempt)) {
            // A tombstone has no length.
            Fault::TooLarge if outcome.payload.is_none() => Fault::None,
            fault => fault,
        };
        self.perform(fault, self.inner.complete(claim, outcome, retention)).await
    }

    async fn abandon(&self, claim: &Claim, how: Abandon) -> Result<Fenced, StoreError> {
        let fault = self.next(Op::Abandon, Some(claim.attempt));
        self.perform(fault, self.inner.abandon(claim, how)).await
    }

    async fn inspect(&self, key: &RecordKey) -> Result<Option<Snapshot>, StoreError> {
        self.inner.inspect(key).await
    }

    async fn forget(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.inner.forget(key).await
    }

    fn changed(&self, key: &RecordKey) -> impl Future<Output = ()> + Send {
        self.inner.changed(key)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}
