//! A claim while its request runs.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::idempotency::Claim;
use crate::idempotency::dyn_store::{Answer, boxed};
use crate::idempotency::execution::engine::Engine;
use crate::idempotency::store::{Abandon, BeginRequest, Fenced, Store, StoreError};
use crate::sync::{AtomicBool, Ordering};

/// A claim, and what has become of it so far. Shared by the execution and the handler's
/// [`Context`](super::Context).
pub(super) struct Held<St> {
    pub(super) engine: Arc<Engine<St>>,
    /// What the claim was asked for with.
    pub(super) request: BeginRequest,
    pub(super) claim: Claim,
    pub(super) marks: Marks,
}

#[derive(Debug, Default)]
pub(super) struct Marks {
    effects: AtomicBool,
    recording: AtomicBool,
    fenced: AtomicBool,
    sent: AtomicBool,
    pub(super) lost: CancellationToken,
}

impl Marks {
    /// The handler has said that its effects may begin.
    pub(super) fn effects_began(&self) {
        self.effects.store(true, Ordering::Release);
    }

    /// The handler writes the outcome in a transaction of its own. That locks the record until the
    /// transaction ends, so that nobody can take over, and a renewal would only wait for the lock.
    #[allow(dead_code, reason = "of the stores that have transactions")]
    pub(super) fn recording_began(&self) {
        self.recording.store(true, Ordering::Release);
    }

    /// The handler gets its turn.
    pub(super) fn is_sent(&self) {
        self.sent.store(true, Ordering::Release);
    }

    pub(super) fn was_sent(&self) -> bool {
        self.sent.load(Ordering::Acquire)
    }

    pub(super) fn is_first_to_be_fenced(&self) -> bool {
        !self.fenced.swap(true, Ordering::AcqRel)
    }

    pub(super) fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Acquire)
    }

    /// What a failure means for the record: after its effects have begun, nobody runs it again.
    pub(super) fn after_failure(&self) -> Abandon {
        let effects = self.effects.load(Ordering::Acquire);
        if effects && !cfg!(mutant = "barrier-ignored") {
            Abandon::Indeterminate
        } else {
            Abandon::Release
        }
    }
}

/// What a handler can do to its claim, whatever the store.
pub(super) trait Grip: Send + Sync {
    fn claim(&self) -> &Claim;
    fn marks(&self) -> &Marks;
    fn mark_effects(&self) -> Written<'_>;
    fn renew(&self) -> Written<'_>;
}

type Written<'a> = Answer<'a, Result<Fenced, StoreError>>;

impl<St: Store> Grip for Held<St> {
    fn claim(&self) -> &Claim {
        &self.claim
    }

    fn marks(&self) -> &Marks {
        &self.marks
    }

    fn mark_effects(&self) -> Written<'_> {
        boxed(self.engine.repeated(|| self.engine.store.mark_effects(&self.claim)))
    }

    fn renew(&self) -> Written<'_> {
        let lease = self.engine.config.lease;
        boxed(self.engine.repeated(move || self.engine.store.renew(&self.claim, lease)))
    }
}
